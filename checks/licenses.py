"""Under which licenses is what is installed, and may it be used?

python -m checks.licenses        (make licenses)

Prints the packages of this environment by license, as they state it, and ends with an error if one has a license that
is not allowed in pyproject.toml: `[tool.unmask.licenses]` has the licenses that may be, and `[tool.unmask.licensed]`
packages that were looked at one by one, each with what was found.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def installed() -> dict[str, str]:
    """Return the stated license of each package in this environment, this project itself left out."""
    command = [sys.executable, "-m", "piplicenses", "--format", "json", "--with-system", "--ignore-packages", "unmask"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {package["Name"]: package["License"] for package in json.loads(listed)}


def allowed(license_: str, licenses: Collection[str]) -> bool:
    """Tell whether a license may be used: one of each `A OR B`, all of `A AND B` or `A; B`."""
    clauses = (re.sub(r"^\((.*)\)$", r"\1", clause) for clause in re.split(r" AND |; ", license_))
    return all(any(one in licenses for one in clause.split(" OR ")) for clause in clauses)


def refused(packages: Mapping[str, str], licenses: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Return those packages whose license is neither allowed nor known."""
    seen = {name.lower() for name in known}
    return {
        name: license_
        for name, license_ in packages.items()
        if name.lower() not in seen and not allowed(license_, licenses)
    }


def main() -> None:
    """Print, and end with an error if a license is refused."""
    section = tomllib.loads(PYPROJECT.read_text())["tool"]["unmask"]
    packages = installed()
    by_license = defaultdict(list)
    for name, license_ in packages.items():
        by_license[license_].append(name)
    for license_, names in sorted(by_license.items(), key=lambda item: (-len(item[1]), item[0])):
        print(f"{license_} ({len(names)}): {', '.join(sorted(names, key=str.lower))}")
    print("\nLooked at one by one:")
    for name, found in section["licensed"].items():
        if name in packages:
            print(f"  {name}: {found}")
    if not_allowed := refused(packages, section["licenses"]["allowed"], section["licensed"]):
        names = ", ".join(f"{name} ({license_})" for name, license_ in not_allowed.items())
        sys.exit(
            f"licenses: not allowed: {names}. Read each license; then add it to `[tool.unmask.licenses]` in "
            "pyproject.toml, or the package with what you found to `[tool.unmask.licensed]`"
        )


if __name__ == "__main__":
    main()
