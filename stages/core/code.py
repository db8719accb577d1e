"""Which files a program's code is: what it imports of ours, and what lies beside that and is read by it.

DVC's deps name these files, and a training that was killed goes on only with the same ones.
"""

import ast
import functools
import re
from pathlib import Path

STAGES = Path(__file__).resolve().parents[1]
# How a module names what lies beside it, and that all of it is its own, as templates are.
BESIDE = re.compile(r'Path\(__file__\)(?:\.parent / |\.with_name\()"([^"]+)"')
FOLDER = re.compile(r"Path\(__file__\)\.parent$", re.MULTILINE)


def module_of(stage: str) -> str:
    """Return the module of a stage or tool, such as `stages.recognition.verify` of `verify`."""
    (path,) = STAGES.glob(f"*/{stage}.py")
    return ".".join(path.relative_to(STAGES.parent).with_suffix("").parts)


def closure(module: Path) -> set[Path]:
    """Return the files that a module of `stages` depends on: itself, what it imports, and what lies beside that.

    The paths are absolute. A module that is imported by a name that is made up as the program runs is not found. A
    package's `__init__.py` is among them if it has code; that of `stages` is not, as it looks after the environment
    and changes no result.
    """
    found: set[Path] = set()
    todo = {module.resolve()}
    while todo:
        file = todo.pop()
        found.add(file)
        todo |= _needs(file) - found
    return found


@functools.cache
def _needs(file: Path) -> frozenset[Path]:
    if file.suffix != ".py":
        return frozenset()
    text = file.read_text(encoding="utf-8")
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    paths = {path for name in names if name.startswith("stages.") for path in _modules(name)}
    for name in BESIDE.findall(text):
        beside = file.parent / name
        paths.update(path for path in beside.rglob("*") if path.is_file()) if beside.is_dir() else paths.add(beside)
    if FOLDER.search(text):
        paths.update(path for path in file.parent.iterdir() if path.suffix in {".j2", ".yaml"})
    return frozenset(path for path in paths if "__pycache__" not in path.parts)


def _modules(name: str) -> set[Path]:
    """Return the files of a dotted name: of its packages that have code, and of the module."""
    place, found = STAGES, set()
    for part in name.split(".")[1:]:
        place /= part
        found |= {file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()}
    return {file for file in found if file.name != "__init__.py" or file.stat().st_size}
