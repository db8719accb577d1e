"""`make test-older` shows an older processor on a newer one: the variables that it sets do what it says."""

import json
import os
import platform
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CODE = """
import json, numpy, threadpoolctl, torch
blas = {one["architecture"] for one in threadpoolctl.threadpool_info() if one["internal_api"] == "openblas"}
bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
print(json.dumps([torch.backends.cpu.get_cpu_capability(), bfloat16, sorted(blas)]))
"""


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="the variables are of x86 processors")
def test_torch_onednn_and_openblas_compute_as_with_avx2_alone():
    line = re.search(r"^OLDER := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert line
    older = dict(setting.split("=") for setting in line[1].split())
    done = subprocess.run([sys.executable, "-c", CODE], env=os.environ | older, stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout) == ["AVX2", False, ["Haswell"]]
