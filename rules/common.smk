# From the config to the plan, and what every rule says in the same words.
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from ikem.config import build_config
from ikem.errors import InputError
from ikem.kinds import MADE
from ikem.plan_file import plan_of

try:
    PLAN = plan_of(
        build_config(config, where=", ".join(map(str, workflow.configfiles)))
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

COMPUTE = PLAN.config.compute


wildcard_constraints:
    dataset=r"[^/]+",
    protocol=r"[^/]+",
    seed=r"\d+",
    recipe=r"[^/]+",
    method=r"[^/]+",
    modality=r"[a-z_]+",
    role=r"[^/]+",
    evaluation=r"[^/]+",
    fraction=r"[0-9.]+",
    sampling=r"per-class|uniform",
    draw=r"\d+",


def results(path):
    """A path below the results folder."""
    return f"{PLAN.config.results}/{path}"


def output_of(kind):
    """Pattern of the file that a job of this kind ends with."""
    return PLAN.pattern(kind)


def beside(kind, name):
    """Pattern of a further file of a job."""
    return str(Path(PLAN.pattern(kind)).with_name(name))


def log_of(kind):
    """Pattern of the log of a job."""
    return PLAN.log_pattern(kind)


def timing_of(kind):
    """Where Snakemake writes time and memory of the job."""
    return PLAN.log_pattern(kind).removesuffix(".log") + ".benchmark.tsv"


def inputs_of(kind):
    """The input files of a job, by name."""
    return lambda wildcards: PLAN.inputs(kind, wildcards)


def settings_of(kind):
    """All that shapes the result of a job, as one line of JSON: handed to the command, and tracked by Snakemake."""
    return lambda wildcards: PLAN.settings(kind, wildcards)


def arguments_of(kind):
    """The files of a job as arguments of its command."""

    def arguments(wildcards):
        inputs = [
            f"--input={name}={path}"
            for name, path in PLAN.inputs(kind, wildcards).items()
        ]
        return [*inputs, f"--output={PLAN.job(kind, wildcards).output}"]

    return arguments


def files_of(*evaluations):
    """The files of all evaluations of these kinds."""
    return [str(job.output) for job in PLAN.evaluation_jobs(*evaluations)]


def states_of(*kinds):
    """The states that jobs of these kinds end with."""
    return [str(job.output) for job in PLAN.all_jobs() if job.name.kind in kinds]


def options(*words):
    """Arguments that shape no result: Snakemake does not track what is a function of the input, so changing them runs nothing."""
    return lambda wildcards, input: [str(word) for word in words]


ON_DEVICE = options(
    f"--device={COMPUTE.device}", f"--checkpoint-minutes={COMPUTE.checkpoint_minutes}"
)
FROM_DATA = options(f"--data={PLAN.config.data}")
IN_PROCESSES = options(f"--processes={COMPUTE.processes}")
RUN = "python -m ikem job --settings {params.settings:q} {params.files:q} {params.options:q} --log {log:q}"
