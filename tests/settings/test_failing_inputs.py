"""Configs and skeleton files on which reading once failed, and the kind of fault that each stands for.

Folders carry the number of the fault in the issue "Silent wrong numbers, tracebacks and hangs found by attack"; their
files have the present names of keys.
"""

from __future__ import annotations

import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from config_support import changed, tiny
from helpers import TINY
from ikem.errors import InputError
from ikem.settings.config_schema import config_schema
from ikem.settings.loading import build_config, load_config
from ikem.skeleton import load_skeleton
from ikem.workflow.plan import Plan
from ikem.workflow.reserved import NEXT_TO_PROTOCOLS
from ikem.yaml_loading import DEPTH_LIMIT, SIZE_LIMIT, load_yaml, read_yaml

INPUTS = Path(__file__).with_name("failing_inputs")
CONFIGS = {
    "14-yaml-bombs/bomb_of_dicts_at_top": "line 6: with aliases written out it is more than 1048576 characters",
    "14-yaml-bombs/bomb_of_dicts_in_datasets": "line 6: with aliases written out it is more than 1048576 characters",
    "14-yaml-bombs/bomb_of_lists_at_top": "line 6: with aliases written out it is more than 1048576 characters",
    "14-yaml-bombs/bomb_of_lists_small_key": "line 59: with aliases written out it is more than 1048576 characters",
    "15-yaml-values/anchors_in_a_string_join": "results: 'x.*names of files and folders have at most 255 bytes",
    "15-yaml-values/bad_timestamp": "x: unknown key (value '2024-02-30 25:61:61')",
    "15-yaml-values/benchmark_3000_seeds": "seeds: .* at most 1000 values are allowed",
    "15-yaml-values/bool_x": "line 5: the tag 'tag:yaml.org,2002:bool' is not allowed",
    "15-yaml-values/deep_block": "line 104: lists and mappings more than 50 deep",
    "15-yaml-values/deep_mapping": "line 54: lists and mappings more than 50 deep",
    "15-yaml-values/deep_nesting": "line 54: lists and mappings more than 50 deep",
    "15-yaml-values/float_x": "line 5: the tag 'tag:yaml.org,2002:float' is not allowed",
    "15-yaml-values/huge_int": "line 5: a number of 6000 characters; at most 40 are read",
    "15-yaml-values/huge_sexagesimal": "datasets.tiny.title: '59:59.* at most 200 characters are allowed",
    "15-yaml-values/int_x": "line 5: the tag 'tag:yaml.org,2002:int' is not allowed",
    "15-yaml-values/timestamp_x": "line 5: the tag 'tag:yaml.org,2002:timestamp' is not allowed",
    "b12-two-gpus/config": "compute.train.gpu: 2 is not allowed; it must be at most 1",
}
"""What is said of each."""


@pytest.mark.parametrize("name", CONFIGS)
def test_each_config_has_one_clear_error(name: str) -> None:
    path = INPUTS / f"{name}.yaml"
    start = time.monotonic()
    with pytest.raises(InputError, match=CONFIGS[name].replace("(", r"\(").replace(")", r"\)")) as caught:
        load_config(path)
    assert time.monotonic() - start < 5
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_every_config_of_the_corpus_is_tested() -> None:
    found = {str(path.relative_to(INPUTS).with_suffix("")) for path in INPUTS.rglob("*.yaml")}
    assert found == {*CONFIGS, "15-yaml-values/bad_date", *(f"15-skeleton-yaml/{number}/sk" for number in SKELETONS)}


def test_15_what_looks_like_a_date_is_text() -> None:
    assert load_config(INPUTS / "15-yaml-values" / "bad_date.yaml").datasets["tiny"].title == "2024-13-45"
    assert load_skeleton(str(INPUTS / "15-skeleton-yaml" / "533" / "sk.yaml")).name == "2024-13-45"


SKELETONS = {
    "532": "line 1: lists and mappings more than 50 deep",
    "533": None,
    "534": "line 1: the tag 'tag:yaml.org,2002:int' is not allowed",
    "535": "line 1: a number of 5000 characters; at most 40 are read",
}


@pytest.mark.parametrize("number", [number for number in SKELETONS if SKELETONS[number]])
def test_15_each_skeleton_file_has_one_clear_error(number: str) -> None:
    with pytest.raises(InputError, match=rf"sk\.yaml: .*{SKELETONS[number]}"):
        load_skeleton(str(INPUTS / "15-skeleton-yaml" / number / "sk.yaml"))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("name: kinect20", "name:", "name must be text"),
        ("name: kinect20", "name: [a]", "name must be text"),
        ("- spine", "- no", "joints must be a list of names; words such as no and null need quotes"),
        ("- spine", "- ''", "joints must be a list of names"),
        ("- spine", "- [spine]", "joints must be a list of names"),
        ("plane: [spine,", "plane: [spine, spine,", "plane must list 3 different joints"),
        ("shoulders: [", "shoulders: [left_shoulder, ", "shoulders must list 2 different joints"),
        ("plane: [", "rotation_partners: false\nplane: [", "rotation_partners must map a joint to a joint"),
    ],
)
def test_15_values_of_a_skeleton_are_what_they_must_be(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = (resources.files("ikem") / "skeletons" / "kinect20.yaml").read_text(encoding="utf-8")
    (tmp_path / "sk.yaml").write_text(text.replace(before, after, 1))
    with pytest.raises(InputError, match=rf"sk\.yaml: {message}"):
        load_skeleton(str(tmp_path / "sk.yaml"))


@pytest.mark.parametrize("joints", [3, 201, 100_000])
def test_15_a_skeleton_has_few_joints(tmp_path: Path, joints: int) -> None:
    names = ", ".join(f"j{number}" for number in range(joints))
    chain = ", ".join(f"j{number}: j{number - 1}" for number in range(1, joints))
    path = tmp_path / "sk.yaml"
    path.write_text(
        f"name: n\njoints: [{names}]\nparents: {{{chain}}}\ncenter: j0\nplane: [j0, j1, j2]\nshoulders: [j0, j1]\n"
    )
    with pytest.raises(InputError, match=r"joints must be a list of 4 to 200|is longer than"):
        load_skeleton(str(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-3", 0.001), ("1E5", 1e5), ("-1.5e+3", -1500.0), (".5", 0.5), ("5.", 5.0), ("-3", -3), ("+1", 1)),
        *(("010", "010"), ("1_000", "1_000"), ("0x10", "0x10"), ("1:30", "1:30"), ("2024-02-30", "2024-02-30")),
        *(("'010'", "010"), ("!!str 10", "10"), (".inf", ".inf"), (".nan", ".nan"), ("=", "=")),
        *(("~", None), ("", None), ("null", None), ("true", True), ("no", False)),
    ],
)
def test_29_scalars(text: str, value: object) -> None:
    found = load_yaml(f"key: {text}", "f")["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice, first in line 1"),
        ("a: {b: 1,\n 'b': 2}", "line 2: the key 'b' is given twice, first in line 1"),
        ("[{1: 2, 1: 3}]", "line 1: the key '1' is given twice, first in line 1"),
        ("x: &x {a: 1}\ny: {<<: *x, b: 2, b: 3}", "line 2: the key 'b' is given twice"),
        ("? [1]\n: 2", "line 1: a key must be text"),
        ("&a [*a]", "line 1: aliases lead more than 50 deep"),
        ("&a {b: *a}", "line 1: aliases lead more than 50 deep"),
        ("\n".join(["a0: &a0 [1]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60))]), "line 51: .* 50 deep"),
        ("<<: 3", "line 1: .*mapping.* for merging"),
        ("a: 1\n---\nb: 2", "line 2: expected a single document"),
        ("a: !!python/object/apply:os.system ['touch x']", "line 1: the tag 'tag:yaml.org,2002:python/object"),
        ("!!set {a}", "line 1: the tag"),
        ("a: !mine 3", "line 1: the tag '!mine'"),
        ("[" * 300_000, "line 1: lists and mappings more than 50 deep"),
        ("- " * 60, "line 1: lists and mappings more than 50 deep"),
        ("a: " + "x" * SIZE_LIMIT, "is longer than 1048576 characters"),
        ("a: " + "9" * 41, "line 1: a number of 41 characters; at most 40"),
        ("a: 1e" + "9" * 41, "line 1: a number of 43 characters; at most 40"),
        ("a: \ud800", "surrogates not allowed"),
        ('a: "\\ud800"', "line 1: .*invalid Unicode"),
        ("\x00", "control characters"),
        ("a: b: c", "line 1: mapping values are not allowed"),
        ("*a", "line 1: found undefined alias"),
    ],
)
def test_14_15_16_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^f.yaml: .*{message}"):
        load_yaml(text, "f.yaml")


def test_16_a_merge_is_no_key_given_twice() -> None:
    assert load_yaml("x: &x {a: 1, b: 1}\ny: {<<: *x, b: 2}", "f")["y"] == {"a": 1, "b": 2}
    assert load_yaml("x: &x [1, 2]\ny: [*x, *x]", "f")["y"] == [[1, 2], [1, 2]]


def test_14_as_deep_as_allowed() -> None:
    assert load_yaml("[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT, "f")


def test_16_a_key_given_twice_in_a_config(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(TINY.read_text() + "results: elsewhere\n")
    with pytest.raises(InputError, match=r"twice\.yaml: .*line \d+: the key 'results' is given twice, first in line 2"):
        load_config(path)


def test_18_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.yaml"
    with pytest.raises(InputError, match=r"caf\\xe9\.yaml: cannot be read \(No such file") as caught:
        load_config(path)
    str(caught.value).encode()
    try:
        path.write_text("seeds: 3")
    except OSError:
        pytest.skip("the file system refuses such names")
    with pytest.raises(InputError, match=r"caf\\xe9\.yaml: benchmark: is missing") as caught:
        load_config(path)
    str(caught.value).encode()
    assert str(InputError("\ud800 \udcff")) == r"\ud800 \xff"
    with pytest.raises(InputError, match=r"results: .*UTF-8"):
        build_config(changed("results", "caf\udce9"))
    with pytest.raises(InputError, match=r"caf\\xe9\.yaml: needs the keys"):
        load_skeleton(str(path))


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b"a: caf\xe9", "a: 1".encode("utf-16")])
def test_18_a_config_that_is_not_utf8(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml: cannot be read \('utf-8' codec"):
        read_yaml(path)


@pytest.mark.parametrize("name", ["tables", "figures", "logs", "plan.json", "report.html", "Tables", "LOGS"])
def test_17_datasets_with_names_of_the_workflow(name: str) -> None:
    values = tiny()
    values["datasets"][name] = values["datasets"]["tiny"]
    with pytest.raises(InputError, match=rf"datasets\.{name}: this name is the workflow's own"):
        Plan(build_config(values))


@pytest.mark.parametrize("name", ["results", "Results", "linear.json.run"])
def test_17_evaluations_with_names_of_the_workflow(name: str) -> None:
    with pytest.raises(InputError, match=rf"evaluations\.{name}: this name is the workflow's own"):
        Plan(build_config(changed(f"evaluations/{name}", {"kind": "knn"}, "/")))


@pytest.mark.parametrize("name", NEXT_TO_PROTOCOLS)
def test_17_protocols_with_names_of_the_workflow(name: str) -> None:
    protocol = {"column": "subject", "train": [1]}
    with pytest.raises(InputError, match=rf"datasets\.tiny\.protocols\.{name}: this name is the workflow's own"):
        Plan(build_config(changed(f"datasets.tiny.protocols.{name}", protocol)))


def test_17_what_is_reserved_follows_from_the_jobs() -> None:
    assert {"raw", "archives", "decoded", "prepared", "modalities", "splits", "label_subsets"} <= {*NEXT_TO_PROTOCOLS}
    plan = Plan(build_config(tiny()))
    own = {job.output.relative_to("results").parts[0] for job in plan.all_jobs()}
    logs = {job.log.relative_to("results").parts[0] for job in plan.all_jobs()}
    assert (own, logs) == ({"tiny"}, {"logs"})


NO_BOUND: dict[str, str] = {}
"""Numbers of the schema without bounds, each with its reason."""


def numbers(node: Any, key: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every number of a JSON Schema by its path."""
    if isinstance(node, list):
        return [found for index, item in enumerate(node) for found in numbers(item, f"{key}.{index}")]
    if not isinstance(node, dict):
        return []
    found = [(key, node)] if node.get("type") in ("integer", "number") else []
    return found + [item for name, value in node.items() for item in numbers(value, f"{key}.{name}")]


def test_19_every_number_has_finite_bounds() -> None:
    found = numbers(config_schema())
    assert len(found) > 60
    without = {
        key
        for key, node in found
        if not ({"minimum", "exclusiveMinimum"} & node.keys() and {"maximum", "exclusiveMaximum"} & node.keys())
    }
    assert without == set(NO_BOUND)


def lists(node: Any, key: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every list and every text without a fixed choice."""
    if isinstance(node, list):
        return [found for index, item in enumerate(node) for found in lists(item, f"{key}.{index}")]
    if not isinstance(node, dict):
        return []
    free = node.get("type") == "array" or (node.get("type") == "string" and not {"enum", "const"} & node.keys())
    return ([(key, node)] if free else []) + [
        item for name, value in node.items() for item in lists(value, f"{key}.{name}")
    ]


def test_19_every_list_and_text_has_a_longest() -> None:
    without = [key for key, node in lists(config_schema()) if not {"maxItems", "maxLength", "pattern"} & node.keys()]
    assert without == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("recipes.tiny.schedule.learning_rate", 1e308),
        ("recipes.tiny.schedule.learning_rate", float("inf")),
        ("recipes.tiny.schedule.learning_rate", float("nan")),
        ("recipes.tiny.schedule.weight_decay", float("nan")),
        ("recipes.tiny.schedule.epochs", 10**12),
        ("recipes.tiny.schedule.batch_size", 10**9),
        ("recipes.tiny.contrast.queue_size", 10**12),
        ("recipes.tiny.encoder.hidden_channels", 10**9),
        ("compute.threads", 100_000),
        ("compute.processes", 100_000),
        ("compute.train.mem_mb", 10**30),
        ("seeds", [2**64]),
        ("seeds", [-1]),
        ("evaluations.knn-1.k", 10**12),
        ("evaluations.semi-10.label_subsets", [10**12]),
        ("methods.student.top_k", 10**12),
        ("datasets.tiny.synthetic.noise_millimetres", float("inf")),
        ("datasets.tiny.synthetic.frames", [10, 10**9]),
        ("datasets.tiny.protocols.xsub.train", [10**19]),
        ("datasets.tiny.decode.setups", [0, 10**9]),
    ],
)
def test_19_numbers_beyond_their_bounds(path: str, value: Any) -> None:
    with pytest.raises(InputError, match=path.replace(".", r"\.")):
        build_config(changed(path, value))


def test_19_a_benchmark_of_too_many_results() -> None:
    block = {"dataset": "tiny", "protocols": ["xsub"], "methods": ["random"] * 400, "evaluations": ["linear"] * 400}
    with pytest.raises(InputError, match="benchmark: it asks for 160000 results; at most 100000"):
        build_config(changed("benchmark", [block]))


ARCHIVE = {"file": "a.zip"}


def dataset(**archive: Any) -> dict[str, Any]:
    """The tiny config with one archive."""
    values = tiny()
    del values["datasets"]["tiny"]["synthetic"]
    values["datasets"]["tiny"]["archives"] = {"skeletons": ARCHIVE | archive}
    return values


@pytest.mark.parametrize("key", ["url", "terms"])
@pytest.mark.parametrize(
    "address",
    [
        "https://user:pa55word@example.org/a.zip",
        "http://pa55word@example.org/a.zip",
        "ftp://user:pa55word@example.org/a.zip",
        "//user:pa55word@example.org/a.zip",
        "https://user:pa55@word@example.org/a.zip",
    ],
)
def test_22_passwords_are_neither_stored_nor_repeated(key: str, address: str) -> None:
    path = rf"datasets\.tiny\.archives\.skeletons\.{key}"
    with pytest.raises(InputError, match=rf"{path}: .*~/\.netrc") as caught:
        build_config(dataset(**{key: address}))
    assert "pa55" not in str(caught.value)
    build_config(dataset(**{key: "https://example.org/a@b.zip?x=@"}))


def test_22_an_error_repeats_no_password() -> None:
    error = InputError("https://u:pw@h/x fails", location="https://u:pw@h/x", hint="See https://u:p@w@h/x")
    assert (error.message, error.location, error.hint) == ("https://h/x fails", "https://h/x", "See https://h/x")
    assert str(error) == "https://h/x: https://h/x fails. See https://h/x"


@pytest.mark.parametrize("file", ["../a.zip", "a/../../b.zip", "/tmp/a.zip", ".", "..", "b/.."])
def test_22_what_is_downloaded_stays_in_the_data_folder(file: str) -> None:
    for source in ({"url": "https://example.org/a.zip"}, {"google_drive": "1CUZ"}):
        with pytest.raises(InputError, match=r"archives\.skeletons\.file: .* is outside the data folder"):
            build_config(dataset(file=file, **source))


@pytest.mark.parametrize("file", ["a/b.zip", "./a.zip", "..a.zip"])
def test_22_files_inside_the_data_folder(file: str) -> None:
    config = build_config(dataset(file=file, url="https://example.org/a.zip"))
    assert config.datasets["tiny"].archives["skeletons"].file == file.removeprefix("./")


def test_36_split_values_are_text_as_written(tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    path.write_text(
        "datasets: {tiny: {class_names: [on, 1.10, 'no'], protocols: "
        "{xsub: {column: session, train: [010, 1.10, no, 12e3, '7', 7.0], test: [~, 2024-01-01, 08]}}}}"
    )
    tiny_set = load_config(TINY, path).datasets["tiny"]
    assert tiny_set.protocols["xsub"].train == ("010", "1.10", "no", "12e3", "7", "7.0")
    assert tiny_set.protocols["xsub"].test == ("~", "2024-01-01", "08")
    assert tiny_set.class_names == ("on", "1.10", "no")


def test_36_values_with_and_without_quotes_are_the_same(tmp_path: Path) -> None:
    digests = set()
    for values in ("[1, 2]", "['1', \"2\"]"):
        path = tmp_path / "more.yaml"
        path.write_text(f"datasets: {{tiny: {{protocols: {{xsub: {{column: subject, train: {values}}}}}}}}}")
        digests.add(Plan(load_config(TINY, path)).digest)
    assert len(digests) == 1
