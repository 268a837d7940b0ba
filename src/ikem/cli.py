"""The commands: `python -m ikem COMMAND --help`. A command imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from ikem.errors import InputError, Interrupted
from ikem.workflow.crashes import report_crashes
from ikem.workflow.logs import REPORTED

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ConfigFiles = Annotated[list[Path], typer.Argument(help="Config files, each laid over those before it.")]

Result = Annotated[
    Path,
    typer.Argument(help="The results folder, anything in it that belongs to the method, or a folder of `export`."),
]
Inputs = Annotated[
    list[Path],
    typer.Argument(help=".skeleton or .json files, folders or archives of them, .npy arrays (N, 3, T, V, M)."),
]
DatasetName = Annotated[str | None, typer.Option("--dataset", help="Dataset that was trained on, e.g. ntu60.")]
ProtocolName = Annotated[str | None, typer.Option("--protocol", help="Split, e.g. xsub.")]
SeedNumber = Annotated[int | None, typer.Option("--seed", help="Seed of the run.")]
MethodName = Annotated[str | None, typer.Option("--method", help="Entry of `methods`, e.g. ikem-6.")]
EvaluationName = Annotated[str | None, typer.Option("--evaluation", help="Evaluation that kept its classifiers.")]
ModalityOption = Annotated[str | None, typer.Option("--modality", help="One modality of several.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]

_TRY_AGAIN = 75
"""Exit status of a job that a signal asked to stop: the same command resumes from there."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from ikem import __version__

        print(f"ikem {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """IKEM-Bench: a reproducible benchmark of self-supervised skeleton action recognition."""


@app.command()
def job(
    settings: Annotated[str, typer.Option(help="All that shapes the result, as JSON; `kind` says which job it is.")],
    output: Annotated[Path, typer.Option(help="File that the job ends with.")],
    inputs: Annotated[list[str], typer.Option("--input", help="Input as NAME=PATH; repeat for each.")] = [],  # noqa: B006
    log: Annotated[Path | None, typer.Option(help="File for the log, besides standard error.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    cuda_graph: Annotated[str, typer.Option(help="auto or off: replay steps from a CUDA graph.")] = "off",
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 5.0,
    processes: Annotated[int, typer.Option(help="Processes that read archives.")] = 1,
    data: Annotated[Path, typer.Option(help="Folder of the raw files.")] = Path("data"),
    processes_per_job: Annotated[int, typer.Option(min=1, help="Processes that share the job, a device each.")] = 1,
) -> None:
    """Run one job of the workflow (each rule calls this; `snakemake -np` prints the calls)."""
    from ikem.process import keep_memory, use_threads

    shapes = json.loads(settings)
    use_threads(shapes.get("threads", 1))  # before anything numeric is imported
    keep_memory()
    from ikem.workflow.execute import Options, run_job

    named = dict(item.split("=", 1) for item in inputs)
    paths = {name: Path(path) for name, path in named.items()}
    chosen = Options(device, checkpoint_minutes, processes, data, cuda_graph, processes_per_job)
    run_job(shapes, paths, output, chosen, log)


@app.command()
def run(config: ConfigFiles) -> None:
    """Run a whole config in this process, one job after another, without Snakemake; what is done already is kept.

    To keep the results of two configs side by side, give each a folder: `results: results/NAME`.
    """
    from ikem.process import keep_memory
    from ikem.runner import run_all
    from ikem.settings.loading import load_config

    keep_memory()
    run_all(load_config(*config))


@app.command()
def status(config: ConfigFiles) -> None:
    """Show every job of a config, and the tables: done, running, stale, interrupted, failed, missing. Read-only."""
    from ikem.settings.loading import load_config
    from ikem.workflow.status import show_status

    show_status(load_config(*config))


@app.command()
def doctor(
    config: Annotated[list[Path], typer.Argument(help="Config files; without one only the machine is looked at.")] = [],  # noqa: B006
) -> None:
    """Look at Python, PyTorch, devices and disk, and at a config and its raw files; say how to mend what is wrong."""
    from ikem.doctor import examine, show

    checks = examine(config)
    show(checks)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


@app.command()
def estimate(
    config: ConfigFiles,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs; by default those of this machine.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores; by default those of this machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: seconds and bytes.")] = False,
) -> None:
    """Estimate jobs, hours, disk and memory of a config: measures the CPU, or models GPUs; a minute or two."""
    from ikem.estimate.show import print_estimate
    from ikem.settings.loading import load_config

    loaded = load_config(*config)
    print("Counting the operations of a step of each method; a minute or two ...", file=sys.stderr)
    print_estimate(loaded, gpus, cores, as_json)


@app.command()
def gather(
    plan: Annotated[Path, typer.Argument(help="plan.json of the results folder.")],
    folder: Annotated[
        Path, typer.Argument(help="Folder for results.csv and the tables; figures and report.html go next to it.")
    ],
    partial: Annotated[
        bool, typer.Option(help="Leave cells empty whose result is missing, instead of stopping.")
    ] = False,
    digest: Annotated[str | None, typer.Option(help="Digest that the plan must have.")] = None,
    log: Annotated[Path | None, typer.Option(help="File for the log, besides standard error.")] = None,
) -> None:
    """Gather all results into results.csv, tables, figures and a report; refuse results of other settings."""
    from ikem.report.gather import gather_results
    from ikem.workflow.logs import logging_to

    with logging_to(log, "gather"):
        gather_results(plan, folder, partial, digest)


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="Folder with results.csv.")] = Path("results/tables")) -> None:
    """Print the main table and where everything is."""
    from ikem.report.gather import show_results

    show_results(folder)


@app.command()
def fuse(
    result: Annotated[Path, typer.Argument(help="File of an evaluation, such as .../linear/ikem-3/linear.json.")],
    weights: Annotated[list[str], typer.Argument(help="Weight of each stream: joint=0.6 motion=0.4 bone=0.6.")],
    label_subset: Annotated[int | None, typer.Option(help="Number of the label subset, where there are some.")] = None,
    condition: Annotated[str, typer.Option(help="Condition of the evaluation, where it has some.")] = "",
) -> None:
    """Fuse the kept scores of single streams with weights, and print the metrics; nothing is trained."""
    from ikem.evaluations.metrics import METRICS, classification
    from ikem.evaluations.scores import fuse, read_scores

    try:
        chosen = {name: float(value) for name, value in (item.split("=", 1) for item in weights)}
    except ValueError as error:
        raise InputError(f"weights must be STREAM=NUMBER, such as joint=0.6 ({error})") from error
    if len(chosen) < len(weights):
        raise InputError("weights must name each stream once", location=" ".join(weights))
    found = read_scores(result)
    for name, value in classification(fuse(found.scores, chosen, label_subset, condition), found.labels).items():
        print(f"{METRICS[name].title:<20} {value:.2f}")


@app.command()
def submit(
    plan: Annotated[Path, typer.Argument(help="plan.json of the results folder.")],
    methods: Annotated[list[str], typer.Argument(help="Entries of `methods` whose rows are submitted.")],
    title: Annotated[str, typer.Option(help="What a leaderboard calls the submission.")],
    authors: Annotated[str, typer.Option(help="Who computed it.")],
    output: Annotated[Path, typer.Option(help="The archive.")] = Path("submission.zip"),
    link: Annotated[str, typer.Option(help="Where code or a paper is.")] = "",
    comment: Annotated[str, typer.Option(help="Hardware, changes of code, anything a reader should know.")] = "",
    evaluation: Annotated[
        list[str] | None, typer.Option(help="Entry of `evaluations`; once for each, all if there is none.")
    ] = None,
) -> None:
    """Pack rows, config, the records of all jobs and the scores of each clip into one archive."""
    from ikem.submission.pack import pack

    claim = pack(plan, methods, output, title, authors, link, comment, evaluation or ())
    print(f"{output}: {len(claim.rows)} rows. `python -m ikem check {output}` recomputes them.")


@app.command()
def check(submission: Annotated[Path, typer.Argument(help="Archive that `submit` wrote.")]) -> None:
    """Recompute every figure of a submission from its scores, and say what was claimed and what was recomputed."""
    from ikem.submission.check import check as check_submission
    from ikem.submission.show import show_verdict

    verdict = check_submission(submission)
    show_verdict(verdict)
    if not verdict.accepted:
        raise typer.Exit(1)


@app.command()
def leaderboard(
    folder: Annotated[Path, typer.Argument(help="Folder of accepted submissions.")] = Path("leaderboard"),
    page: Annotated[Path, typer.Option(help="The page, in Markdown.")] = Path("leaderboard/README.md"),
) -> None:
    """Check every submission of a folder again, and write one page of all of them."""
    from ikem.submission.leaderboard import write_leaderboard

    count = write_leaderboard(folder, page)
    print(f"{page}: {count} submission{'' if count == 1 else 's'}")


@app.command()
def embed(
    result: Result,
    inputs: Inputs,
    output: Annotated[Path, typer.Option(help="A row for each clip: .npz, .parquet or .csv.")],
    dataset: DatasetName = None,
    protocol: ProtocolName = None,
    seed: SeedNumber = None,
    method: MethodName = None,
    modality: ModalityOption = None,
    device: DeviceName = "auto",
) -> None:
    """Embed clips by trained encoders. Clips that cannot be used are reported; then the exit status is 1."""
    from ikem.trained.commands import embed as embed_files
    from ikem.trained.selection import Options

    options = Options(dataset, protocol, _text(seed), method)
    _end(embed_files(result, inputs, output, options, modality, device))


@app.command()
def predict(
    result: Result,
    inputs: Inputs,
    output: Annotated[Path | None, typer.Option(help="Write them to .npz, .parquet or .csv instead.")] = None,
    top: Annotated[int, typer.Option(help="How many of the likeliest classes.", min=1)] = 5,
    dataset: DatasetName = None,
    protocol: ProtocolName = None,
    seed: SeedNumber = None,
    method: MethodName = None,
    evaluation: EvaluationName = None,
    modality: ModalityOption = None,
    device: DeviceName = "auto",
) -> None:
    """Print classes of clips and their probabilities, by the classifiers that a linear evaluation kept.

    Clips that cannot be used are reported; then the exit status is 1.
    """
    from ikem.trained.commands import predict as predict_files
    from ikem.trained.selection import Options

    options = Options(dataset, protocol, _text(seed), method, evaluation)
    _end(predict_files(result, inputs, output, options, modality, device, top))


@app.command()
def export(
    result: Result,
    output: Annotated[Path, typer.Option(help="New folder, in the layout of the Hugging Face hub.")],
    formats: Annotated[
        list[str], typer.Option("--format", help="safetensors, torch-export or onnx; repeat for several.")
    ] = ["safetensors"],  # noqa: B006
    dataset: DatasetName = None,
    protocol: ProtocolName = None,
    seed: SeedNumber = None,
    method: MethodName = None,
    evaluation: EvaluationName = None,
    modality: ModalityOption = None,
) -> None:
    """Write trained encoders to a folder that needs no results: config, safetensors, model card; graphs if asked for.

    The classifiers of a linear evaluation are included if there is one; --evaluation names one of several.
    """
    from ikem.trained.commands import trained_of
    from ikem.trained.hub import export as export_folder
    from ikem.trained.selection import Options

    options = Options(dataset, protocol, _text(seed), method, evaluation)
    trained = trained_of(result, options, modality, classifier=evaluation is not None)
    for name, off in export_folder(trained, output, formats).items():
        print(f"{output / name}: differs from the encoders by {off:.1g} at most")
    print(f"{output}: {trained.description.method}, {', '.join(trained.description.modalities)}; nothing was uploaded")


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Folder that `export` wrote.")],
    repository: Annotated[str, typer.Argument(help="Repository of models on the Hugging Face hub: USER/NAME.")],
    private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
) -> None:
    """Upload an exported folder to the Hugging Face hub. Read its README.md and the licence of the data before."""
    from ikem.trained.hub import push as push_folder

    print(push_folder(folder, repository, private))


@app.command()
def verify(folder: Annotated[Path, typer.Argument(help="Folder of reference vectors.")]) -> None:
    """Compare every array of a folder of reference vectors with what the benchmark computes."""
    from ikem.verify import verify as verify_folder

    if not verify_folder(folder):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the schema of a config (JSON Schema): every key, its default, its meaning."""
    from ikem.settings.config_schema import config_schema

    print(json.dumps(config_schema(), indent=2))


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _end(rejected: int) -> None:
    if rejected:
        print(f"{rejected} clips could not be used", file=sys.stderr)
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; each error is reported once, and what a user can correct without a traceback."""
    report_crashes()
    try:
        app(standalone_mode=True)
    except InputError as error:
        _report(error, f"error: {error}")
        sys.exit(2)
    except Interrupted as error:
        _report(error, f"left: {error}")
        sys.exit(_TRY_AGAIN)
    except Exception as error:
        _report(error, traceback.format_exc().rstrip())
        sys.exit(1)


def _report(error: BaseException, text: str) -> None:
    if error not in REPORTED:
        print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
