"""What is shown while jobs run: names in the log, a bar on a terminal, errors once (issue 10, numbers 30 and 34)."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ikem.settings.loading import load_config
from ikem.terminal import TrainingBar
from ikem.workflow.plan import Plan
from ikem.workflow.run_context import title_of
from job_support import write_config


class Terminal(io.StringIO):
    """Standard error on a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_titles_follow_from_outputs(tmp_path: Path) -> None:
    for job in Plan(load_config(write_config(tmp_path))).all_jobs():
        assert title_of(job.name.kind, job.output) == job.title
    assert title_of("split", Path("elsewhere/x.json")) == "split elsewhere"


def test_a_bar_has_step_epoch_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, now = Terminal(), 100.0
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setenv("COLUMNS", "200")
    bar = TrainingBar("skeletonclr tiny joint")
    for step in (3, 4, 5):  # resumed in the third step of the second of four epochs
        now += 2
        bar.step(2, 4, step, 10, 8)
    lines = shown.getvalue().split("\r\x1b[K")[1:]
    # 15 of 40 steps are done, three of them in six seconds: 25 take 50 seconds.
    assert lines[-1] == ("skeletonclr tiny joint ███████░░░░░░░░░░░░░ epoch 2/4, step 5/10, 4 clips/s, 0:00:50 left")
    assert len(lines) == 3
    now += 0.01
    bar.step(2, 4, 6, 10, 8)
    assert len(shown.getvalue().split("\r\x1b[K")) == 4  # not drawn so soon
    bar.close()
    assert shown.getvalue().endswith("\r\x1b[K")


def test_nothing_is_drawn_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    bar = TrainingBar("a job")
    time.sleep(0.4)
    bar.step(1, 2, 1, 2, 8)
    bar.close()
    assert capfd.readouterr().err == ""


def split_command(folder: Path) -> list[str]:
    """A job whose input is missing."""
    settings = json.dumps({"kind": "split", "upstream": {}})
    output = folder / "results" / "tiny" / "splits" / "xsub.json"
    words = ["job", "--settings", settings, "--input=prepared=nowhere.npy", "--output", str(output)]
    return [sys.executable, "-m", "ikem", *words, "--log", str(folder / "job.log")]


def test_an_error_is_reported_once(tmp_path: Path) -> None:
    ran = subprocess.run(split_command(tmp_path), capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    line = r"\S+ \[split tiny xsub\] "
    assert re.fullmatch(rf"{line}start: split tiny xsub\n{line}error: nowhere.npy: is missing\. .+\n", ran.stderr)
    assert re.fullmatch(r"\S+ start: split tiny xsub\n\S+ error: .+\n", (tmp_path / "job.log").read_text())
    ran = subprocess.run(
        [sys.executable, "-m", "ikem", "status", "nowhere.yaml"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2 and ran.stderr.count("error: ") == 1 and len(ran.stderr.splitlines()) == 1


def test_a_traceback_is_reported_once(tmp_path: Path) -> None:
    settings = json.dumps({"kind": "make_ntu", "upstream": {}})  # no rule leaves out what it shall generate
    command = [sys.executable, "-m", "ikem", "job", "--settings", settings, "--output", str(tmp_path / "x.zip")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.count("Traceback") == 1 and ran.stderr.rstrip().endswith("KeyError: 'synthetic'")


def test_a_terminal_sees_the_lines_of_the_log_in_full(tmp_path: Path) -> None:
    reader, writer = pty.openpty()
    subprocess.run(split_command(tmp_path), stderr=writer, timeout=60)
    shown = os.read(reader, 65536).decode()
    assert re.match(r"\r\x1b\[K\d\d:\d\d:\d\d \[split tiny xsub\] start: ", shown)
