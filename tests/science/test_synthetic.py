"""README: "seeds pair": what a run's seed moves, what it leaves alone, and what names a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textbench.contracts.config import validate
from textbench.contracts.errors import UserError
from textbench.tasks import oracle
from textbench.tasks.synthetic import (
    Synthetic,
    SyntheticConfig,
    SyntheticTiny,
    SyntheticTinyConfig,
)

SMALL: dict[str, Any] = {
    "vocab_size": 50,
    "length": 5,
    "embedding": 4,
    "hidden": 4,
    "train_size": 40,
    "validation_size": 40,
    "test_size": 40,
}


def task(**changes: Any) -> Synthetic:
    return Synthetic(SyntheticConfig(**{**SMALL, **changes}))


# -- draws ---------------------------------------------------------------------------------------


def test_the_three_splits_are_independent_draws() -> None:
    """Equal sizes and seeds, yet three streams: no sequence is shared by construction."""
    t = task(oracle_seed=0)
    splits = [t.train(0, 0), t.validation(), t.test()]
    for split in splits:
        assert split.shape == (40, 5)
        assert split.dtype == torch.int64
        assert int(split.min()) >= 0 and int(split.max()) < 50
    rows = [set(map(tuple, split.tolist())) for split in splits]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert len(rows[one] & rows[other]) < 8  # chance repeats of likely sequences only


def test_the_runs_seed_moves_the_training_sequences_only() -> None:
    one, other = task(), task()
    assert not torch.equal(one.train(0, 0), other.train(1, 0))
    assert torch.equal(one.train(0, 0), other.train(0, 0))
    assert torch.equal(one.validation(), other.validation())
    assert torch.equal(one.test(), other.test())


def test_the_oracles_seed_moves_everything() -> None:
    one, other = task(oracle_seed=0), task(oracle_seed=1)
    assert not torch.equal(one.oracle.head_weight, other.oracle.head_weight)
    assert not torch.equal(one.test(), other.test())
    assert not torch.equal(one.validation(), other.validation())


def test_fixed_data_is_one_sample_and_fresh_data_a_new_one_in_every_pass() -> None:
    fixed, fresh = task(data="fixed"), task(data="fresh")
    assert torch.equal(fixed.train(0, 0), fixed.train(0, 7))
    assert torch.equal(fixed.train(0, 0), fresh.train(0, 0))
    passes = [fresh.train(0, number) for number in range(3)]
    assert not torch.equal(passes[0], passes[1]) and not torch.equal(passes[1], passes[2])
    assert torch.equal(passes[1], fresh.train(0, 1))


def test_sequences_follow_the_oracle() -> None:
    """First symbols against the oracle's own first conditional (chi-square, 49 degrees)."""
    t = task(train_size=5000)
    expected = 5000 * t.oracle.log_probs(torch.zeros(1, 5, dtype=torch.int64))[0, 0].exp()
    counts = torch.bincount(t.train(0, 0)[:, 0], minlength=50)
    assert float(((counts - expected) ** 2 / expected.clamp(min=0.5)).sum()) < 110


def test_sizes_are_the_papers() -> None:
    """10,000 cut to full batches of 64, as SeqGAN's and CoT's loaders do."""
    config = SyntheticConfig()
    assert (config.vocab_size, config.length) == (5000, 20)
    assert config.train_size == config.test_size == 156 * 64
    assert (config.embedding, config.hidden) == (32, 32)


def test_decoding_writes_token_ids() -> None:
    assert task().decode(torch.tensor([[3, 0, 49, 1, 1]])) == ["3 0 49 1 1"]


# -- the fingerprint -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"oracle_seed": 95},
        {"vocab_size": 51},
        {"length": 6},
        {"embedding": 5},
        {"hidden": 5},
        {"train_size": 41},
        {"validation_size": 41},
        {"test_size": 41},
        {"data": "fresh"},
    ],
)
def test_what_a_number_depends_on_is_in_the_fingerprint(changes: dict[str, Any]) -> None:
    assert task(**changes).fingerprint() != task().fingerprint()
    assert task(**changes).fingerprint() == task(**changes).fingerprint()


def test_every_option_is_in_the_fingerprint_or_is_where_the_oracle_comes_from() -> None:
    covered = {"oracle_seed", "length", "train_size", "validation_size", "test_size", "data"}
    sizes_of_the_parameters = {"vocab_size", "embedding", "hidden"}
    assert set(SyntheticConfig.model_fields) == covered | sizes_of_the_parameters | {"oracle"}


def test_the_default_tasks_are_the_same_in_every_version() -> None:
    """Recorded on 2.13.0; a change here cuts every published number off from later ones."""
    assert Synthetic(SyntheticConfig()).fingerprint() in {
        "021ed0ecdfcb55ff90fc3ad7df1b4389d13bbb9385faceba6bc057917af54569",  # glibc 2.36
        "b0107e362c2339154823ac6baebd0d0ce200cd133f99acdd43655ed884ee2564",  # glibc 2.43
    }
    assert SyntheticTiny(SyntheticTinyConfig()).fingerprint() == (
        "61b7c8856c153417fd2b58ee043cd3d29b817955697cea3a0790c152f2269eda"
    )


def test_the_fingerprint_does_not_depend_on_where_the_parameters_lie(tmp_path: Path) -> None:
    parameters = oracle.draw_parameters(0, 50, 4, 4)
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / "a.npz", tmp_path / "folder" / "b.npz"]
    for path in paths:
        np.savez(path, **parameters)
    found = {from_file(path).fingerprint() for path in paths}
    assert len(found) == 1
    changed = {**parameters, "b_out": parameters["b_out"] + 1}
    np.savez(paths[0], **changed)
    assert from_file(paths[0]).fingerprint() not in found


def from_file(path: Path, **changes: Any) -> Synthetic:
    """The small task with an oracle from a file, which fixes its sizes."""
    sizes = {key: value for key, value in SMALL.items() if "size" in key and key != "vocab_size"}
    return Synthetic(SyntheticConfig(oracle=str(path), length=5, **{**sizes, **changes}))


# -- other oracles ---------------------------------------------------------------------------------


def test_a_file_is_the_same_task_as_the_seed_it_was_drawn_from(tmp_path: Path) -> None:
    np.savez(tmp_path / "oracle.npz", **oracle.draw_parameters(94, 50, 4, 4))
    loaded = from_file(tmp_path / "oracle.npz")
    assert loaded.vocab_size == 50
    assert loaded.fingerprint() == task().fingerprint()
    assert torch.equal(loaded.train(0, 0), task().train(0, 0))
    assert torch.equal(loaded.test(), task().test())


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "oracle.npz", **oracle.draw_parameters(94, 50, 4, 4))
    assert from_file(Path("~/oracle.npz")).vocab_size == 50


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"oracle": "publishd"}, "no file 'publishd'; use seeded, published or a file"),
        ({"oracle": "."}, "directory"),
        ({"oracle_seed": -1}, "greater than or equal to 0"),
        ({"vocab_size": 1}, "greater than or equal to 2"),
        ({"length": 0}, "greater than or equal to 1"),
        ({"train_size": 0}, "greater than or equal to 1"),
        ({"test_size": 2.5}, "integer"),
        ({"length": True}, "integer"),
        ({"data": "new"}, "'fixed' or 'fresh'"),
        ({"vocabsize": 5}, "did you mean 'vocab_size'"),
    ],
)
def test_bad_options_are_one_clear_line(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        Synthetic(validate(SyntheticConfig, options, "synthetic"))
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("synthetic.") or "oracle file" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["vocab_size", "embedding", "hidden"])
def test_a_size_that_the_oracle_fixes_is_not_ignored(tmp_path: Path, option: str) -> None:
    np.savez(tmp_path / "oracle.npz", **oracle.draw_parameters(94, 50, 4, 4))
    with pytest.raises(UserError, match=rf"synthetic\.{option} has no effect"):
        from_file(tmp_path / "oracle.npz", **{option: 7})


# -- synthetic-tiny --------------------------------------------------------------------------------


def test_tiny_is_the_same_task_at_another_size() -> None:
    tiny = SyntheticTiny(SyntheticTinyConfig())
    assert (tiny.vocab_size, tiny.length) == (24, 8)
    assert tiny.train(0, 0).shape == (512, 8)
    assert tiny.test().shape == (512, 8)
    assert tiny.validation().shape == (256, 8)
    same = SyntheticConfig(**SyntheticTinyConfig().model_dump())
    assert Synthetic(same).fingerprint() == tiny.fingerprint()
    assert SyntheticTinyConfig.model_fields.keys() == SyntheticConfig.model_fields.keys()


def test_tiny_draws_are_the_same_in_every_version() -> None:
    tiny = SyntheticTiny(SyntheticTinyConfig())
    assert tiny.test()[0].tolist() == [15, 9, 5, 16, 11, 9, 9, 16]
    assert tiny.train(0, 0)[0].tolist() == [11, 20, 6, 4, 9, 21, 21, 21]
