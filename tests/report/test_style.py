"""Colors and markers of modalities."""

import pytest

from ikem.report import style


@pytest.mark.parametrize("further", [0, 1, 20])
def test_each_modality_has_a_style_of_its_own(further: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (*style.MODALITIES, *(f"further_{number}" for number in range(further)))
    monkeypatch.setattr(style, "MODALITIES", names)
    styles = {name: style.stream_style(name) for name in (*names, "joint+bone")}
    assert len({(color, marker) for color, marker, _ in styles.values()}) == len(styles)
    assert [styles[name][:2] for name in style.MODALITIES[:2]] == [("#0173b2", "s"), ("#de8f05", "^")]
