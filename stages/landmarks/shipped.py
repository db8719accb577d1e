"""Where the released models lie that came with the code that runs: those of this room are asked before any stage."""

from pathlib import Path

AROUND = Path(__file__).resolve().parents[2]  # the checkout, or where pip has put `stages` and `unmask`
INSTALLED = AROUND / "unmask/released"
SHIPPED = INSTALLED if INSTALLED.exists() else AROUND / "models/released"
