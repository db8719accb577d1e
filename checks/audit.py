"""Does anybody know a hole in a pinned package?

python -m checks.audit           (make audit)

Asks an advisory service for every line of requirements.lock, by pip-audit; it needs a network. A package that the
service does not know is no package without holes, so that is an error, too. `--service osv` asks OSV instead of PyPI.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"


def verdict(said: str, trouble: str, service: str) -> tuple[int, str]:
    """Return exit status and message.

    Args:
        said: what pip-audit wrote to stdout, JSON; empty if it failed.
        trouble: what it wrote to stderr.
        service: that was asked.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(said)["dependencies"]
    except (ValueError, KeyError):
        last = (trouble.strip().splitlines() or ["it said nothing"])[-1]
        return 2, f"audit: the advisory service {service} could not be asked, so nothing is known: {last}"
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'none'}"
        for package in packages
        for hole in package.get("vulns", [])
    ]
    if holes:
        return 1, "\n".join([f"audit: {len(holes)} known holes", *holes])
    if len(unknown) == len(packages):
        return 2, (
            f"audit: the advisory service {service} answered for none of {len(packages)} packages, so nothing is "
            "known: is a proxy or a mirror in the way, which has no advisories? Try --service osv, or another network"
        )
    if unknown:
        return 2, f"audit: the advisory service {service} does not know {len(unknown)} packages: {', '.join(unknown)}"
    return 0, f"audit: no known hole in {len(packages)} packages ({service})"


def main() -> None:
    """Ask, print, and end with 1 on a hole and with 2 if not all is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", choices=["pypi", "osv"], default="pypi")
    service = parser.parse_args().service
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
    command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    status, message = verdict(done.stdout, done.stderr, service)
    print(message, file=sys.stderr if status else sys.stdout)
    sys.exit(status)


if __name__ == "__main__":
    main()
