"""Write into dvc.yaml which code each stage depends on: `make deps`.

python -m checks.deps

That is what its module imports (`stages/core/code.py`), by folders where nearly all of a folder is imported, by files
where it is not, and the released models that came with the code and that it reads. A test fails where dvc.yaml says
something else.
"""

import math
import re
import textwrap
from pathlib import Path

from stages.core.code import STAGES, closure, module_of

ROOT = STAGES.parent
PIPELINE = ROOT / "dvc.yaml"
AT_MOST = 1.3  # times as many files as are imported
ADAPTERS = STAGES / "data/adapters"
RELEASED = ROOT / "models/released"
READ = re.compile(r'SHIPPED / "([^"]+)"')  # how a module names a released model that came with the code
WIDTH = 119  # of the lines of a list in dvc.yaml


def file_of(stage: str) -> Path:
    """Return the file of a stage's module."""
    return ROOT / (module_of(stage).replace(".", "/") + ".py")


def files_in(folder: Path) -> set[Path]:
    """Return the files of a folder that can change a result: no byte code, no empty `__init__.py`."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path for path in found if path.name != "__init__.py" or path.stat().st_size}


def is_program(file: Path) -> bool:
    """Return whether a file is a stage or a tool of its own."""
    return file.suffix == ".py" and '__name__ == "__main__"' in file.read_text(encoding="utf-8")


def needed(module: Path, item: str = "*") -> set[Path]:
    """Return the files that a stage needs.

    Args:
        module: of the stage.
        item: the dataset, as `clean` takes the adapter of that name; by default, all of them count.
    """
    found = closure(module)
    if module.stem == "clean":
        for adapter in ADAPTERS.glob(f"{item}.py"):
            found |= closure(adapter)
    texts = [path.read_text(encoding="utf-8") for path in found if path.suffix == ".py"]
    return found | {RELEASED / name for text in texts for name in READ.findall(text)}


def listed(module: Path) -> list[str]:
    """Return the deps of a stage: folders and files, relative to the root, sorted.

    A folder stands for its files where few of them are idle, and none of these is another stage. Of adapters, `clean`
    depends on that of its dataset. Of released models, each stands for itself.
    """
    everything = needed(module)
    models = {path for path in everything if path.parent == RELEASED}
    files = {path for path in everything - models if path.parent != ADAPTERS or module.stem != "clean"}
    deps = {STAGES / path.relative_to(STAGES).parts[0] for path in files}

    def idle(dep: Path) -> float:
        more = files_in(dep) - files if dep.is_dir() else set()
        return math.inf if any(map(is_program, more)) else len(more)

    while sum(map(idle, deps)) > (AT_MOST - 1) * len(files):
        worst = max(sorted(deps), key=idle)
        deps.remove(worst)
        depth = len(worst.parts) + 1
        deps |= {Path(*path.parts[:depth]) for path in files if path.is_relative_to(worst)}
    found = [dep.relative_to(ROOT).as_posix() for dep in deps | models]
    if module.stem == "clean":
        found.append(f"{ADAPTERS.relative_to(ROOT)}/${{item.dataset}}.py")
    return sorted(found)


def rewritten(text: str) -> str:
    """Return the text of dvc.yaml with the code of each stage in its deps, after its data."""
    blocks = re.split(r"^(?=  \w+:$)", text, flags=re.MULTILINE)
    return "".join(
        re.sub(r"^    deps: \[.*?\]$", _with_code, block, flags=re.DOTALL | re.MULTILINE) for block in blocks
    )


def _with_code(found: re.Match[str]) -> str:
    stage = found.string.partition(":")[0].strip()
    named = re.split(r",\s*", found[0].strip().removeprefix("deps: [").removesuffix("]"))
    data = [dep for dep in named if not dep.strip('"').startswith(("stages/", "models/released/"))]
    code = [f'"{dep}"' if "{" in dep else dep for dep in listed(file_of(stage))]
    # Data and code begin a line each, so that the data are seen at once. A comma follows the data.
    start, indent = "    deps: [", " " * 6
    filled = [
        textwrap.fill(", ".join(deps), WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
        for deps, first in ((data, start), (code, indent))
        if deps
    ]
    return start + ",\n".join(filled).removeprefix(start).lstrip() + "]"


if __name__ == "__main__":
    before = PIPELINE.read_text(encoding="utf-8")
    after = rewritten(before)
    PIPELINE.write_text(after, encoding="utf-8")
    print("dvc.yaml names other code now" if after != before else "dvc.yaml names the code that is imported")
