"""The command line of every stage: `python -m stages.<room>.<stage> --faces … --out … --results metrics/<name>`."""

import argparse
import errno
import importlib
import inspect
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.core import costs, metrics, params
from stages.core.errors import UnmaskError
from stages.core.outputs import PARTS
from stages.core.results import Results

DISK = {
    errno.ENOSPC: "the disk is full: free some space and run again",
    errno.EDQUOT: "the disk quota is used up: free some space and run again",
    errno.EROFS: "the disk cannot be written to",
    errno.EACCES: "a file or folder may not be read or written",
}


def run_stage(module_name: str, arguments: list[str] | None = None) -> None:
    """Run the stage function of module `stages.<module_name>`, such as `recognition.verify`, from the command line.

    The module, its function and its section of params.yaml have one name, here `verify`. Each parameter of the
    function, a `Path` or a text, is an option of that name; its `params` come from params.yaml (model `Params` of the
    module). What it returns is written into its `Results`, which are called by `--results`; without that it is printed,
    and pictures and curves are not kept. If the module has a function `photos_folder` and `--faces` is no face table
    but a plain folder of photos, that function runs instead.

    The module is imported anew under its own name: run as `__main__`, its functions could not be sent to workers.
    """
    module, name = importlib.import_module(f"stages.{module_name}"), module_name.rpartition(".")[2]
    with errors_in_words(name):
        if expected := costs.line():
            print(f"{name}: {expected}", file=sys.stderr)
        _run(module, name, arguments)
        costs.done()
    if arguments is None:  # the program is about to end, and all that it writes is whole: Ctrl-C needs no more words
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def errors_in_words(name: str) -> Iterator[None]:
    """End the program `name` with a message, and no traceback, on what the user can put right, and on Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        if "TORCHELASTIC_RUN_ID" not in os.environ:  # else the program that started this one says it
            print(f"{name}: stopped by Ctrl-C. Nothing half-written was kept.", file=sys.stderr)
        sys.exit(130)
    except UnmaskError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        if error.errno not in DISK:
            raise
        place = f" ({error.filename})" if error.filename else ""
        sys.exit(f"{name}: {DISK[error.errno]}{place}. Nothing half-written was kept.")


def _run(module: Any, name: str, arguments: list[str] | None) -> None:
    parser = argparse.ArgumentParser(
        prog=f"python -m {module.__name__}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stage, on_photos = getattr(module, name), getattr(module, "photos_folder", None)
    for flag, (kind, described) in _flags(*(function for function in (on_photos, stage) if function)).items():
        parser.add_argument(flag, type=kind, help=described)
    parser.add_argument("--results", type=Path, help=f"name of what is reported: metrics/{name}, for one")
    given = vars(parser.parse_args(arguments))
    if given["results"] and given["results"].suffix == ".json":
        parser.error(f"--results {given['results']}: a name is expected, without an ending")
    if on_photos and given["faces"] and not any(given["faces"].glob(PARTS)):
        stage = on_photos
    wanted = _options(stage)
    missing = [_flag(option.name) for option in wanted if given[option.name] is None and option.default is option.empty]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as nowhere:
        results = Results(given["results"] or Path(nowhere) / name)
        options = {**given, "results": results, "params": params.load(module.Params, name)}
        result = stage(**{key: options[key] for key in inspect.signature(stage).parameters})
    if given["results"]:
        metrics.write(results.metrics, result)
    else:
        print(metrics.to_json(result), end="")
    if path := results.costs if given["results"] else costs.path_in_dvc():
        costs.write(path, costs.seconds_so_far())


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _options(stage: Any) -> list[inspect.Parameter]:
    """Return a stage function's parameters but params and results; one with a default may be left out."""
    found = inspect.signature(stage).parameters
    return [parameter for name, parameter in found.items() if name not in {"params", "results"}]


def _flags(*functions: Any) -> dict[str, tuple[type, str]]:
    """Return the type of each option of some functions, and what their docstrings say of it."""
    flags: dict[str, tuple[type, str]] = {}
    for function in functions:
        _, _, section = (inspect.getdoc(function) or "").partition("\nArgs:\n")
        described = {
            name: " ".join(text.split()).replace("%", "%%")
            for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section.partition("\n\n")[0], re.MULTILINE)
        }
        for option in _options(function):
            flags[_flag(option.name)] = (str if option.annotation is str else Path, described.get(option.name, ""))
    return flags
