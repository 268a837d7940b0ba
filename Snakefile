# IKEM-Bench: from raw skeletons to result tables.
#
#   snakemake --cores all                                        the demo (config/config.yaml)
#   snakemake --cores all --configfile config/nwucla.yaml        another config
#   snakemake --cores all --resources gpu=4                      at most four jobs on GPUs at a time
#   snakemake --list                                             what else can be asked for
import sys

from snakemake.utils import min_version

min_version("9.25")

if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "rules/common.smk"


# The first rule is the default target.
rule tables:
    """Everything: the long table, a table for each evaluation, figures and a report."""
    input:
        results("tables/results.csv"),


include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


onstart:
    from ikem.workflow.plan_file import write_plan

    if workflow.is_main_process:
        announce()
        write_plan(PLAN)


onerror:
    from ikem.workflow.status import failures_of

    # Snakemake itself only says that a command failed. Jobs on other machines show their errors there.
    for failure in (
        failures_of(PLAN, workflow.local_exec) if workflow.is_main_process else []
    ):
        print(f"failed: {failure}", file=sys.stderr)
