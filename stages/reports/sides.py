"""The two sides of a comparison, as DVC reads them: a revision, and another one or the workspace."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.scm import NoSCM, NoSCMError, RevError, SCMError, resolve_rev

from stages.core import replicates
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.reports.differences import Drawn, Values

WORKSPACE = "workspace"
COSTS = "metrics/costs"  # in Git, and no metrics of DVC
CODE = ("stages", "dvc.yaml")


@dataclass(frozen=True)
class Plot:
    """A plot of one side.

    Attributes:
        data: bytes of a PNG, or rows of a CSV file as texts by column; None if it could not be read.
        x: column of a CSV file for the horizontal axis.
        y: columns for the vertical one.
        digest: by which DVC knows the file; None if it was never run.
        why: it could not be read.
    """

    data: bytes | list[dict[str, str]] | None
    x: str = ""
    y: tuple[str, ...] = ()
    digest: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Sides:
    """All that a comparison is made of.

    Attributes:
        base: its name, for people.
        other: likewise.
        metrics: old and new values by file and dotted key, those that are equal among them.
        params: likewise, those that differ.
        costs: as `metrics`: seconds, memory.
        plots: of both sides, by file.
        drawn: the replicates of both sides, of those files of metrics that differ.
        unread: why replicates that DVC knows could not be read, by file and side.
        code: the files of `stages` that differ, and dvc.yaml.
    """

    base: str
    other: str
    metrics: Mapping[str, Values]
    params: Mapping[str, Values]
    costs: Mapping[str, Values]
    plots: tuple[Mapping[str, Plot], Mapping[str, Plot]]
    drawn: tuple[Drawn, Drawn]
    unread: Mapping[str, str]
    code: list[str]


def read(base: str, other: str) -> Sides:
    """Return what DVC knows of two revisions of the repository in the current folder.

    Args:
        base: a branch, tag, commit or an experiment's name.
        other: likewise, or `workspace`.

    Raises:
        UnmaskError: there is no repository of Git and DVC, no such revision, or a file that cannot be read.
    """
    try:
        with Repo(".") as repository:
            return _read(repository, base, other)
    except NotDvcRepoError:
        raise UnmaskError("there is no DVC repository here: run from the root of the checkout") from None
    except NoSCMError:
        raise UnmaskError("there is no Git repository here, so there is nothing to compare with") from None
    except RevError as error:
        # DVC's own text has the name, too, but not what may stand there.
        raise UnmaskError(f"{error}: name a branch, a tag, a commit or an experiment of `dvc exp show`") from None
    except (SCMError, DvcException) as error:
        raise UnmaskError(str(error)) from None


def _read(repository: Repo, base: str, other: str) -> Sides:
    scm = repository.scm
    if isinstance(scm, NoSCM):
        raise NoSCMError
    if scm.no_commits:
        raise UnmaskError("nothing is committed yet, so there is nothing to compare with")
    commits = [None if side == WORKSPACE else resolve_rev(scm, side) for side in (base, other)]
    costs = sorted({file for side in (base, other) for file in _costs(repository, side)})
    shown = repository.plots.show(revs=[base, other], onerror=_keep)
    metrics = _diff(repository.metrics.diff, base, other, all=True)
    differ = [file for file, values in metrics.items() if any(of["old"] != of["new"] for of in values.values())]
    unread: dict[str, str] = {}
    return Sides(
        base=_name(base, commits[0]),
        other=_name(other, commits[1]),
        metrics=metrics,
        params=_diff(repository.params.diff, base, other),
        costs=_diff(repository.metrics.diff, base, other, targets=costs) if costs else {},
        plots=(_plots(repository, shown, base), _plots(repository, shown, other)),
        drawn=(_drawn(repository, differ, base, unread), _drawn(repository, differ, other, unread)),
        unread=unread,
        code=_code([commit for commit in commits if commit], scm),
    )


def _name(side: str, commit: str | None) -> str:
    if commit is None:
        return WORKSPACE
    return commit[:7] if commit.startswith(side) else f"{side} ({commit[:7]})"


def _diff(diff: Callable[..., Mapping[str, Any]], base: str, other: str, **options: Any) -> Mapping[str, Values]:
    found = diff(base, other, **options)
    for side, errors in found.get("errors", {}).items():
        # A file that one side does not have differs; any other error would hide a difference.
        for file, error in (errors if isinstance(errors, dict) else {"": errors}).items():
            if not isinstance(error, FileNotFoundError):
                raise UnmaskError(f"{file or 'the metrics'} of {side} cannot be read: {error}")
    files: Mapping[str, Values] = found.get("diff", {})
    return files


def _costs(repository: Repo, side: str) -> list[str]:
    """Return the files of costs; DVC itself looks into no folder beside which it keeps another one."""
    with repository.switch(side):
        files = repository.fs
        return [file.lstrip("/") for file in files.find(COSTS)] if files.isdir(COSTS) else []


def _keep(result: dict[str, Any], exception: Exception, *_: object, **__: object) -> None:
    """Have DVC go on where a plot cannot be read: under another key than its own, so that it warns of nothing."""
    result["exception"] = exception


def _plots(repository: Repo, shown: Mapping[str, Any], side: str) -> Mapping[str, Plot]:
    with repository.switch(side):
        digests = {str(out): out.hash_info.value for out in repository.index.plots}
    of = shown.get(side, {})
    axes = {
        name: props
        for part in of.get("definitions", {}).get("data", {}).values()
        for name, props in part.get("data", {}).items()
    }
    found = {}
    for name, source in of.get("sources", {}).get("data", {}).items():
        props = {**axes.get(name, {}), **source.get("props", {})}
        y = props.get("y", ())
        found[name] = Plot(
            data=source.get("data"),
            x=props.get("x", ""),
            y=(y,) if isinstance(y, str) else tuple(y),
            digest=digests.get(name),
            why=_why(source.get("exception")),
        )
    return found


def _drawn(repository: Repo, files: list[str], side: str, unread: dict[str, str]) -> Drawn:
    """Return the replicates that belong to files of metrics; note in `unread` why some cannot be had."""
    found = {}
    with repository.switch(side):
        for file in files:
            path = Results(Path(file).with_suffix("")).replicates.as_posix()
            if not repository.dvcfs.exists(path):  # of a stage that has none, or a commit that had none yet
                continue
            try:
                with repository.dvcfs.open(path, mode="rb") as stream:
                    found[file] = replicates.read(stream.read())
            except Exception as error:  # a remote raises what it likes, and without replicates there is still a page
                unread[f"{path} of {side}"] = _why(error)
    return found


def _why(error: Exception | None) -> str:
    if isinstance(error, FileNotFoundError):
        return "neither in the cache nor in the remote: dvc push it where it was made"
    return f"it cannot be read: {error}" if error else ""


def _code(commits: list[str], scm: Any) -> list[str]:
    """Return the files of code that differ between two commits, or one and the workspace."""
    listed: str = scm.gitpython.repo.git.diff("--name-only", *commits, "--", *CODE)
    return listed.splitlines()
