"""The controls: on the demo, and on NTU RGB+D 60 by the changes that the config's comment names."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml

from helpers import ROOT
from ikem.settings.benchmark import Config
from ikem.settings.loading import build_config, load_config
from ikem.workflow.plan import Plan

CONTROLS = ROOT / "config" / "ablations.yaml"
SIX = ("joint", "motion", "bone", "acceleration", "rotation_axis", "angular_velocity")


def on_the_demo() -> Config:
    return load_config(ROOT / "config" / "config.yaml", CONTROLS)


def on_ntu60() -> Config:
    values = yaml.safe_load(CONTROLS.read_text())
    values["recipes"] = {"twice": {"schedule": {"epochs": 600, "decay": {"epoch": 500}}, "stage1_epochs": 300}}
    for options in values["methods"].values():
        options["recipe"] = {"demo": "published", "demo-twice": "twice"}[options["recipe"]]
        options.pop("contrast", None), options.pop("schedule", None)
    values["benchmark"][0] |= {"dataset": "ntu60", "protocols": ["xsub", "xview"]}
    return build_config(values | {"seeds": [0, 1, 2]})


@pytest.mark.parametrize("config", [on_the_demo, on_ntu60])
def test_controls_differ_in_what_their_titles_say(config: object) -> None:
    loaded = config()  # type: ignore[operator]
    methods = loaded.methods
    entries = loaded.benchmark[0].methods
    titles = [methods[name].title or methods[name].default_title(name, loaded) for name in entries]
    assert len(set(titles)) == len(titles) == 17
    full = methods["ikem-6"].model_dump(exclude={"title", "kind"})
    different = {
        name: {key for key, value in methods[name].model_dump(exclude={"title", "kind"}).items() if value != full[key]}
        for name in entries
        if methods[name].kind == "ikem"
    }
    modalities = {"modalities", "published_as"}
    assert {name: keys - modalities for name, keys in different.items() if keys} == {
        **{name: set() for name in ("ikem-3", "ikem-acceleration", "ikem-rotation-axis", "ikem-angular-velocity")},
        "ikem-3-twice": {"recipe"},
        "ikem-explicit": {"implicit"},
        "ikem-implicit": {"explicit"},
        "ikem-frozen": {"momentum_modalities"},
        "ikem-following": {"momentum_modalities"},
        "ikem-top-3": {"top_k"},
        "ikem-top-5": {"top_k"},
    }
    assert [set(methods[f"ikem-{name}"].modalities) - {*SIX[:3]} for name in ("acceleration", "rotation-axis")] == [
        *({"acceleration"}, {"rotation_axis"}),
    ]
    once, twice = (loaded.recipes[methods[name].recipe] for name in ("ikem-3", "ikem-3-twice"))
    assert twice.schedule.epochs == 2 * once.schedule.epochs and twice.stage1_epochs == 2 * once.stage1_epochs
    assert twice.schedule.decay.epoch == 2 * once.schedule.decay.epoch
    assert (twice.encoder, twice.contrast) == (once.encoder, once.contrast)
    students = [methods[name].model_dump(exclude={"title", "relations"}) for name in ("student", "student-plain")]
    assert students[0] == students[1] and not methods["student-plain"].relations


def test_states_of_stage_1_are_shared() -> None:
    """Six streams, and three of twice the epochs, serve all controls."""
    counted = Counter(job.name.kind for job in Plan(on_the_demo()).all_jobs())
    assert counted["momentum_contrast"] == counted["skeletonclr"] == 9 and counted["ikem"] == 12
