"""What a config asks for: every job with its settings, inputs and paths, and a digest of all that shapes its result.

The rules of the workflow, `status` and the gathering of results all read the plan; nothing else knows where a file
is. The digest of a job covers its own settings and the digests of the jobs it builds on, so a result computed under
other settings anywhere upstream has another digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ikem.files import canonical_json, digest_of
from ikem.registry import JobName, job_name
from ikem.settings.benchmark import Config
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.reserved import check_names

_WILDCARD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Job:
    """One job of a plan.

    Attributes:
        name: kind and wildcards.
        output: the file that the job ends with.
        log: its log.
        settings: all that shapes the result, ready for JSON; `upstream` has the digests of the jobs it builds on.
        inputs: the jobs it builds on, by the name under which the rule knows them.
    """

    name: JobName
    output: Path
    log: Path
    settings: dict[str, Any]
    inputs: dict[str, Job]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the settings."""
        return digest_of(self.settings)

    @property
    def record(self) -> Path:
        """The run.json of the job."""
        return record_path(self.output)

    @property
    def title(self) -> str:
        """The job in words, as `status` shows it: its kind, and its wildcards in the order of the path."""
        keys, order = dict(self.name.keys), _WILDCARD.findall(JOB_TYPES[self.name.kind].output)
        return " ".join([self.name.kind, *(keys[name] for name in dict.fromkeys(order))])


def record_path(output: Path) -> Path:
    """Where a job that ends with `output` keeps its run.json: next to it, named after it."""
    return output.with_name(f"{output.name}.run.json")


class Plan:
    """All jobs that a config can ask for, created when asked for."""

    def __init__(self, config: Config) -> None:
        """Raises InputError if an entry has a name that is the workflow's own."""
        check_names(config)
        self.config = config
        self._jobs: dict[JobName, Job] = {}

    def pattern(self, kind: str) -> str:
        """Path pattern of the output of a kind, with its wildcards in braces."""
        return f"{self.config.results}/{JOB_TYPES[kind].output}"

    def log_pattern(self, kind: str) -> str:
        """Path pattern of the log of a kind."""
        return f"{self.config.results}/logs/{JOB_TYPES[kind].output}.log"

    def job(self, kind: str, keys: Mapping[str, str]) -> Job:
        """The job of a kind for given wildcards; equal arguments give the same object."""
        return self._job(job_name(kind, keys))

    def _job(self, name: JobName) -> Job:
        if name not in self._jobs:
            settings, inputs = JOB_TYPES[name.kind].describe(self.config, dict(name.keys))
            jobs = {key: self._job(value) for key, value in inputs.items()}
            upstream = {key: job.digest for key, job in sorted(jobs.items())}
            output = Path(self.pattern(name.kind).format(**dict(name.keys)))
            log = Path(self.log_pattern(name.kind).format(**dict(name.keys)))
            self._jobs[name] = Job(name, output, log, {"kind": name.kind, **settings, "upstream": upstream}, jobs)
        return self._jobs[name]

    def settings(self, kind: str, keys: Mapping[str, str]) -> str:
        """The settings of a job as one line of JSON: what a rule hands to the command, and what Snakemake tracks."""
        return canonical_json(self.job(kind, keys).settings)

    def inputs(self, kind: str, keys: Mapping[str, str]) -> dict[str, str]:
        """The input files of a job by name."""
        return {key: str(job.output) for key, job in self.job(kind, keys).inputs.items()}

    def cells(self, *kinds: str) -> Iterator[tuple[str, dict[str, str], Job]]:
        """Each (evaluation, wildcards of the run and method, its job) of the benchmark, without repetition.

        Args:
            kinds: kinds of evaluation to keep ("linear", ...); none: all.
        """
        seen: set[tuple[str, ...]] = set()
        for block in self.config.benchmark:
            for seed in block.seeds or self.config.seeds:
                for protocol in block.protocols:
                    for method in block.methods:
                        for evaluation in block.evaluations:
                            if kinds and self.config.evaluations[evaluation].kind not in kinds:
                                continue
                            cell = (block.dataset, protocol, method, str(seed), evaluation)
                            if cell in seen:
                                continue
                            seen.add(cell)
                            keys = {"dataset": block.dataset, "protocol": protocol, "method": method, "seed": str(seed)}
                            kind = self.config.evaluations[evaluation].kind
                            yield evaluation, keys, self.job(kind, {**keys, "evaluation": evaluation})

    def evaluation_jobs(self, *kinds: str) -> list[Job]:
        """The jobs whose rows the tables are gathered from, each once."""
        return list({job.name: job for _, _, job in self.cells(*kinds)}.values())

    def all_jobs(self) -> list[Job]:
        """Every job of the benchmark, inputs before what is built on them."""
        ordered: dict[JobName, Job] = {}

        def visit(job: Job) -> None:
            if job.name not in ordered:
                for part in job.inputs.values():
                    visit(part)
                ordered[job.name] = job

        for job in self.evaluation_jobs():
            visit(job)
        return list(ordered.values())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the tables depend on."""
        return digest_of([job.digest for job in self.evaluation_jobs()])
