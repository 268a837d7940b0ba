"""What can be said about a config before it runs, where the numbers of clips are published."""

from __future__ import annotations

from ikem.training.clip_counts import count_warnings
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.plan import Plan


def advice_on(plan: Plan) -> list[str]:
    """A line for each warning of a training job whose protocol has published counts; equal ones of other seeds once."""
    lines = []
    for job in plan.all_jobs():
        if JOB_TYPES[job.name.kind].group != "train":
            continue
        keys = dict(job.name.keys)
        counts = plan.config.datasets[keys["dataset"]].protocols[keys["protocol"]].counts
        if counts is None:
            continue
        entry = f"methods.{keys['method']}" if "method" in keys else f"recipes.{keys['recipe']}"
        for warning in count_warnings(job.settings, counts.train):
            lines.append(f"warning: {entry}, {keys['dataset']} {keys['protocol']}: {warning}")
    return list(dict.fromkeys(lines))
