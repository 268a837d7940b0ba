"""Devices are handed out one to a job, by real processes; the devices themselves are pretended."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from job_support import LONGER, ROOT, Process, Workshop, command_of, snakemake_environment, until, write_config

NO_SCHEDULER = dict.fromkeys(
    ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "KUBERNETES_SERVICE_HOST", "CUDA_VISIBLE_DEVICES"), ""
)


class Trainings:
    """Long trainings on pretended devices; each has a folder of its own."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self._workshop, self._folder, self._count = workshop, folder, 0
        self.started: list[Process] = []

    def start(
        self, devices: int, *options: str, epochs: int = 400, precision: str = "float32", **environment: str
    ) -> Process:
        job = self._workshop.job("momentum_contrast", modality="joint")
        self._count += 1
        inputs = {name: part.output for name, part in job.inputs.items()}
        printed = {"IKEM_PRETEND_DEVICES": str(devices), "IKEM_LOCK_FOLDER": str(self._folder / "locks"), **environment}
        output = self._folder / str(self._count) / "state.safetensors"
        process = self._workshop.start_with(
            job.settings | {"last_epoch": epochs, "precision": precision}, inputs, output, 60, None, *options, **printed
        )
        process.output = output
        self.started.append(process)
        return process

    def stop(self) -> None:
        for process in self.started:
            if process.status is None:
                if process.alive:
                    process.send(signal.SIGKILL)
                process.wait()


@pytest.fixture
def trainings(workshop: Workshop, tmp_path: Path):
    made = Trainings(workshop, tmp_path)
    yield made
    made.stop()


def device_of(process: Process, seconds: float = 30) -> str | None:
    """The device that a process reported, if it got one in time."""
    names = re.compile(r"device (\S+?),? (?:of|as) ")
    until(lambda: bool(names.search(process.printed)) or not process.alive, seconds, 0.01)
    found = names.search(process.printed)
    return found[1] if found else None


def test_each_job_gets_a_device_and_a_killed_one_gives_it_back(trainings: Trainings) -> None:
    processes = [trainings.start(4) for _ in range(4)]
    devices = [device_of(process) for process in processes]
    assert sorted(filter(None, devices)) == ["0", "1", "2", "3"]
    fifth = trainings.start(4)
    assert until(lambda: "all of the devices 0, 1, 2, 3 are taken: waiting for one" in fifth.printed)
    time.sleep(1)
    assert device_of(fifth, 0) is None
    killed = time.monotonic()
    processes[2].send(signal.SIGKILL)
    assert device_of(fifth) == devices[2]
    assert time.monotonic() - killed < 10


def test_the_record_names_the_device(trainings: Trainings) -> None:
    process = trainings.start(2, epochs=5)
    assert process.wait() == 0, process.printed
    record = json.loads(process.output.with_name("state.safetensors.run.json").read_text())
    assert record["device"] == "cpu (pretended device 0)"
    assert record["arithmetic"] == {"precision": "float32"}


def test_a_precision_that_the_device_lacks(trainings: Trainings) -> None:
    process = trainings.start(2, epochs=5, precision="tf32")
    assert process.wait() == 2
    assert "precision: tf32: tf32 is arithmetic of GPUs from compute capability 8.0 on" in process.printed


def test_a_user_s_choice_is_respected(trainings: Trainings) -> None:
    first, second = (trainings.start(8, CUDA_VISIBLE_DEVICES="5,2") for _ in range(2))
    assert {device_of(first), device_of(second)} == {"5", "2"}
    everyone = [trainings.start(4) for _ in range(3)]
    assert sorted(device_of(process) or "" for process in everyone) == ["0", "1", "3"]


@pytest.mark.parametrize("named", ["", "-1"])
def test_no_device_for_this_user(trainings: Trainings, named: str) -> None:
    process = trainings.start(4, epochs=5, CUDA_VISIBLE_DEVICES=named)
    assert process.wait() == 0
    assert "no GPU can be used here: computing on the CPU" in process.printed


def test_a_scheduler_s_device_is_taken_as_it_is(trainings: Trainings) -> None:
    """Two jobs of a scheduler may both know their device as number 0: it is not the same one."""
    first, second = (trainings.start(4, SLURM_JOB_ID=number, CUDA_VISIBLE_DEVICES="0") for number in ("17", "18"))
    assert [device_of(first), device_of(second)] == ["0", "0"]
    assert "as the scheduler gave it" in first.printed
    assert "as the scheduler gave it" in second.printed


def test_an_allocation_of_several_devices_is_shared_out(trainings: Trainings) -> None:
    both = [trainings.start(4, SLURM_JOB_ID="17", CUDA_VISIBLE_DEVICES="0,1") for _ in range(2)]
    assert {device_of(process) for process in both} == {"0", "1"}


def test_slurm_that_gave_no_device(trainings: Trainings) -> None:
    environment = {"SLURM_JOB_ID": "17"}
    process = trainings.start(4, epochs=5, **environment)
    assert process.wait() == 0
    assert "no GPU can be used here: computing on the CPU" in process.printed


def test_a_gpu_that_is_not_there(trainings: Trainings) -> None:
    assert trainings.start(0, "--device", "cuda", epochs=5, CUDA_VISIBLE_DEVICES="").wait() == 2
    assert "compute.device: cuda: no GPU can be used here. Set it to auto or cpu" in trainings.started[0].printed
    on_cpu = trainings.start(4, "--device", "cpu", epochs=5)
    assert on_cpu.wait() == 0
    assert "device" not in on_cpu.printed


def test_two_snakemakes_on_one_machine(workshop: Workshop, tmp_path: Path) -> None:
    """Two workflows at once, one pretended device: their jobs follow one another."""
    runs = []
    for name in ("one", "other"):
        project = tmp_path / name
        project.mkdir()
        shutil.copy(ROOT / "Snakefile", project)
        shutil.copytree(ROOT / "rules", project / "rules")
        shutil.copytree(workshop.results / "tiny" / "prepared", project / "results" / "tiny" / "prepared")
        shutil.copytree(workshop.results / "tiny" / "splits", project / "results" / "tiny" / "splits")
        longer = {"recipes": {"tiny": {"schedule": {"epochs": 80}, "stage1_epochs": 60}}}
        config = write_config(project, LONGER, longer)
        target = project / "results/tiny/xsub/seed0/momentum_contrast/tiny/joint/state.safetensors"
        environment = snakemake_environment(IKEM_PRETEND_DEVICES="1", IKEM_LOCK_FOLDER=str(tmp_path / "locks"))
        runs.append(
            subprocess.Popen(
                ["snakemake", "--cores", "1", "--resources", "gpu=1", "--configfile", str(config), "--", str(target)],
                cwd=project,
                env={name: value for name, value in environment.items() if name not in NO_SCHEDULER},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    printed = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], printed
    assert sum("waiting for one" in text for text in printed) == 1
    spans = []
    for text in printed:  # a job gives its device back when the last epoch has ended, a moment before it is done
        clocks = re.findall(r"(\d\d):(\d\d):(\d\d) (?:\[[^]]*\] )?(device 0 of 0|epoch \d+/60)", text)
        assert [clock[3] for clock in (clocks[0], clocks[-1])] == ["device 0 of 0", "epoch 60/60"]
        spans.append([int(hour) * 3600 + int(minute) * 60 + int(second) for hour, minute, second, _ in clocks])
    first, second = sorted(spans)
    assert first[-1] <= second[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_gives_the_same_bits_twice(workshop: Workshop, tmp_path: Path) -> None:
    job = workshop.job("ikem", method="ikem-3")
    inputs = {name: part.output for name, part in job.inputs.items()}
    states = []
    for name in ("one", "other"):
        output = tmp_path / name / "state.safetensors"
        command = ["python", "-m", "ikem", *command_of(job.settings, inputs, output), "--device", "cuda"]
        subprocess.run(command, env=snakemake_environment(), check=True, timeout=300)
        states.append(output.read_bytes())
    assert states[0] == states[1]
