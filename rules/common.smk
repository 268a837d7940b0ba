# From the config to the plan, and what every rule says in the same words.
import atexit
import shlex
import sys
from functools import cache
from pathlib import Path

import filelock
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import RerunTrigger

from ikem.errors import InputError
from ikem.evaluations.registry import EVALUATIONS
from ikem.files import read_json
from ikem.methods.registry import STAGES
from ikem.report.kinds import KINDS
from ikem.settings.loading import command_line_values, load_config
from ikem.synthetic.settings import RAW_FILES
from ikem.workflow.advice import advice_on
from ikem.workflow.job_types import JOB_TYPES, processes_of
from ikem.workflow.plan import Plan
from ikem.workflow.staleness import Redo, announcement, remember_raw_files
from ikem.workflow.tables_record import fault_of_tables

# Snakemake has read the files itself, without a look at keys that are given twice.
try:
    PLAN = Plan(
        load_config(
            *workflow.configfiles,
            changes=command_line_values(dict(workflow.config_settings.config)),
        )
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

COMPUTE = PLAN.config.compute
EVALUATED = list(
    dict.fromkeys(name for block in PLAN.config.benchmark for name in block.evaluations)
)


wildcard_constraints:
    dataset=r"[^/]+",
    protocol=r"[^/]+",
    seed=r"\d+",
    recipe=r"[^/]+",
    method=r"[^/]+",
    modality=r"[a-z_]+",
    role=r"[^/]+",
    target=r"[^/]+",
    target_protocol=r"[^/]+",
    evaluation=r"[^/]+",
    fraction=r"[0-9.]+",
    sampling=r"per-class|uniform",
    number=r"\d+",


def lsf_options(gpus):
    """Options of LSF's bsub, whose plugin asks for no GPU by itself; other executors do not look at them."""
    return f"-wa USR1 -wt 10{f' -gpu num={gpus}' if gpus else ''}"


def results(path):
    """A path below the results folder."""
    return f"{PLAN.config.results}/{path}"


def output_of(kind):
    """Pattern of the file that a job of this kind ends with."""
    return PLAN.pattern(kind)


def next_to(kind, name):
    """Pattern of a further file of a job; "{stem}" stands for the name of its output."""
    output = Path(PLAN.pattern(kind))
    return str(output.with_name(name.replace("{stem}", output.stem)))


def log_of(kind):
    """Pattern of the log of a job."""
    return PLAN.log_pattern(kind)


def timing_of(kind):
    """Where Snakemake writes time and memory of the job."""
    return PLAN.log_pattern(kind).removesuffix(".log") + ".benchmark.tsv"


REDO = Redo(PLAN.config.data)
AGAIN = {}  # why each finished job of Snakemake's graph runs again


@cache
def begin():
    """When Snakemake has begun to build its graph: the records (run.json) judge what is done, not Snakemake's metadata.

    Nothing but a real run takes the lock, which it holds for as long as its process lives: who gets it knows that a
    lock of Snakemake's was left by a run that was killed. (It gives no input files.)
    """
    if not workflow.is_main_process:
        return []
    workflow.dag.ignore_incomplete = True
    workflow.dag_settings.rerun_triggers = frozenset([RerunTrigger.MTIME])
    if workflow.dryrun:
        atexit.register(announce)
    elif workflow.executor_plugin is not None:
        atexit.register(remember_raw_files, PLAN)
        Path(".snakemake").mkdir(exist_ok=True)
        lock = filelock.FileLock(".snakemake/only_run.lock")
        try:
            lock.acquire(timeout=3)
            workflow.globals["ONLY_RUN"] = lock
            for left in Path(".snakemake/locks").glob("*.lock"):
                left.unlink()
        except filelock.Timeout:
            pass  # Snakemake itself says that another run is under way
    return []


def announce():
    """Say what is odd, how many finished jobs run again, and why; what others are built on first."""
    for line in [*advice_on(PLAN), *announcement(reversed(AGAIN.values()))]:
        print(line, file=sys.stderr)


def inputs_of(kind):
    """The input files of a job, by name; a finished job that has to run again is made known to Snakemake.

    The time of an input that is done says nothing (a copy has a new one). Where the command line itself asks for jobs
    to run again, Snakemake has to see what is built on them.
    """

    def inputs(wildcards):
        files = PLAN.inputs(kind, wildcards)
        begin()
        if not workflow.is_main_process:
            return files
        job = PLAN.job(kind, wildcards)
        if reason := REDO.reason(job):
            AGAIN[job.name] = reason
            workflow.dag.forcefiles.add(str(job.output))
        if workflow.dag_settings.forcerun or workflow.dag_settings.forcetargets:
            return files
        return {
            name: path if REDO.reason(job.inputs[name]) else ancient(path)
            for name, path in files.items()
        }

    return inputs


def settings_of(kind):
    """All that shapes the result of a job, as one line of JSON: handed to the command."""
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


def outputs_of(*kinds):
    """What all jobs of these kinds end with."""
    return [str(job.output) for job in PLAN.all_jobs() if job.name.kind in kinds]


def rows_of_tables(wildcards):
    """Every evaluated result; tables that have been edited, or are of other results, are made known to Snakemake."""
    begin()
    if workflow.is_main_process and fault_of_tables(PLAN):
        workflow.dag.forcefiles.add(results("tables/results.csv"))
    return outputs_of(*EVALUATIONS)


def options(*words):
    """Arguments that shape no result."""
    return [str(word) for word in words]


def divided(kind, wanted):
    """What a job of a training stage asks for, `wanted` for each process that shares it."""
    return lambda wildcards: wanted * processes_of(
        PLAN.config, PLAN.job(kind, wildcards).settings
    )


def lsf_of_training(kind):
    """Options of bsub for a training job."""
    gpus = divided(kind, COMPUTE.train.gpu)
    return lambda wildcards: lsf_options(gpus(wildcards))


def training_options(kind):
    """Arguments of a training job that shape no result."""

    def arguments(wildcards):
        count = processes_of(PLAN.config, PLAN.job(kind, wildcards).settings)
        return [
            *ON_DEVICE,
            *(options(f"--processes-per-job={count}") if count > 1 else []),
        ]

    return arguments


ON_DEVICE = options(
    f"--device={COMPUTE.device}",
    f"--cuda-graph={COMPUTE.cuda_graph}",
    f"--checkpoint-minutes={COMPUTE.checkpoint_minutes}",
)
FROM_DATA = options(f"--data={PLAN.config.data}")
IN_PROCESSES = options(f"--processes={COMPUTE.processes}")
IKEM = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}") + " -m ikem"
RUN = (
    IKEM
    + " job --settings {params.settings:q} {params.files:q} {params.options:q} --log {log:q}"
)


def title_of(kind):
    """Labels of a figure in Snakemake's report: its title, and a sentence to read it by."""

    def labels(wildcards):
        drawn = read_json(results("figures/figures.json"))
        file = f"{kind}/{wildcards.figure}.png"
        item = next((item for item in drawn if item["file"] == file), {})
        return {"Figure": item.get("title", file), "Caption": item.get("caption", "")}

    return labels
