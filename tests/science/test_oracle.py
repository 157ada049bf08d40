"""The oracle: its file format, its convention, its seed; a hostile file can do nothing."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from textbench.metrics.jsd import JSD

from textbench.backbone.scoring import mean_nll
from textbench.contracts.errors import UserError
from textbench.contracts.evaluation import Evaluation
from textbench.contracts.streams import stream
from textbench.tasks import oracle
from textbench.tasks.synthetic import Synthetic, SyntheticConfig

V, E, H, T = 6, 4, 4, 5  # square weights, as published: a missing transpose changes no shape
GATES = ("i", "f", "o", "g")  # the published order, written down once more


def arrays(seed: int = 0, embedding: int = E, hidden: int = H) -> list[np.ndarray]:
    """Fifteen arrays as SeqGAN saves them: x·W + h·U + b, gate by gate."""
    rng = np.random.default_rng(seed)
    shapes: list[tuple[int, ...]] = [(V, embedding)]
    shapes += [(embedding, hidden), (hidden, hidden), (hidden,)] * 4
    shapes += [(hidden, V), (V,)]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def seqgan_log_probs(given: list[np.ndarray], sequences: np.ndarray) -> np.ndarray:
    """The oracle of SeqGAN's target_lstm.py, in numpy: conditionals ``(B, T, V)``."""
    a = [array.astype(np.float64) for array in given]
    gates = {gate: a[1 + 3 * k : 4 + 3 * k] for k, gate in enumerate(GATES)}
    h = c = np.zeros((len(sequences), len(a[3])))
    previous = np.zeros(len(sequences), dtype=int)
    columns = []
    for t in range(sequences.shape[1]):
        x = a[0][previous]
        z = {gate: x @ W + h @ U + b for gate, (W, U, b) in gates.items()}
        i, f, o = (1 / (1 + np.exp(-z[gate])) for gate in "ifo")
        c = f * c + i * np.tanh(z["g"])
        h = o * np.tanh(c)
        logits = h @ a[13] + a[14]
        columns.append(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
        previous = sequences[:, t]
    return np.stack(columns, 1)


def written(path: Path, content: object, protocol: int = 3) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def model_log_probs(path: Path, sequences: np.ndarray) -> np.ndarray:
    model = oracle.build(oracle.load_parameters(path), T)
    return model.log_probs(torch.from_numpy(sequences)).numpy()


@pytest.fixture
def sequences() -> np.ndarray:
    return np.random.default_rng(1).integers(0, V, (20, T))


# -- the convention --------------------------------------------------------------------------


@pytest.mark.parametrize(("embedding", "hidden"), [(E, H), (3, 5)])
def test_the_published_convention(
    tmp_path: Path, sequences: np.ndarray, embedding: int, hidden: int
) -> None:
    """Gates i, f, o, cell, row vectors, one bias: an independent LSTM finds the same law."""
    given = arrays(embedding=embedding, hidden=hidden)
    found = model_log_probs(written(tmp_path / "oracle.pkl", given), sequences)
    np.testing.assert_allclose(found, seqgan_log_probs(given, sequences), atol=1e-5)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(4), 2)))
def test_two_gates_swapped_are_noticed(
    tmp_path: Path, sequences: np.ndarray, one: int, other: int
) -> None:
    given = arrays()
    swapped = list(given)
    a, b = slice(1 + 3 * one, 4 + 3 * one), slice(1 + 3 * other, 4 + 3 * other)
    swapped[a], swapped[b] = given[b], given[a]
    found = model_log_probs(written(tmp_path / "oracle.pkl", swapped), sequences)
    assert np.abs(found - seqgan_log_probs(given, sequences)).max() > 0.1


@pytest.mark.parametrize("index", [k for k in range(15) if k not in (0, 3, 6, 9, 12, 13, 14)])
def test_a_transposed_weight_is_noticed(tmp_path: Path, sequences: np.ndarray, index: int) -> None:
    """W and U are square, so only the numbers tell x·W from W·x."""
    given = arrays()
    transposed = [array.T.copy() if k == index else array for k, array in enumerate(given)]
    found = model_log_probs(written(tmp_path / "oracle.pkl", transposed), sequences)
    assert np.abs(found - seqgan_log_probs(given, sequences)).max() > 0.02


def test_there_is_one_effective_bias(tmp_path: Path) -> None:
    model = oracle.build(oracle.load_parameters(written(tmp_path / "o.pkl", arrays())), T)
    assert not model.zero_bias.any()
    assert not any(parameter.requires_grad for parameter in model.parameters())


# -- files that are what they should be ------------------------------------------------------


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes strings and bytes as Python 2's str, and numpy's old module names."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_py2_str(self, given: str | bytes) -> None:
        content = given.encode() if isinstance(given, str) else given
        if self.proto == 0:
            self.write(b"S" + repr(content)[1:].encode() + b"\n")
        else:
            self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(given)

    dispatch[str] = dispatch[bytes] = save_py2_str

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or obj.__qualname__}\n".encode())
        self.memoize(obj)


class BytesReduction:
    """An array that is pickled with raw bytes, as Python 2 did, whatever the protocol."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __reduce__(self) -> Any:
        reconstruct, arguments, (version, shape, dtype, fortran, _) = self.array.__reduce__()
        state = (version, shape, dtype, fortran, self.array.tobytes())
        return reconstruct, arguments, state


@pytest.mark.parametrize("protocol", [0, 2])
def test_python_2_pickles_are_read(tmp_path: Path, protocol: int) -> None:
    given = arrays()
    file = io.BytesIO()
    Python2Pickler(file, protocol=protocol).dump([BytesReduction(array) for array in given])
    assert b"numpy.core.multiarray\n_reconstruct" in file.getvalue()
    path = tmp_path / "target_params.pkl"
    path.write_bytes(file.getvalue())
    _assert_equal(oracle.load_parameters(path), given)


@pytest.mark.parametrize("package", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_and_numpy_are_read(
    tmp_path: Path, protocol: int, package: str
) -> None:
    given = arrays()
    path = tmp_path / "oracle.pkl"
    content = pickle.dumps(given, protocol=protocol)
    for found in (b"numpy.core", b"numpy._core"):
        old, new = found + b".multiarray", package.encode() + b".multiarray"
        if protocol < 4:  # from there on the name carries its length
            content = content.replace(old, new)
    path.write_bytes(content)
    _assert_equal(oracle.load_parameters(path), given)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2"])
def test_other_floats_and_byte_orders_are_converted(tmp_path: Path, dtype: str) -> None:
    given = [np.asfortranarray(array.astype(dtype)) for array in arrays()]
    found = oracle.load_parameters(written(tmp_path / "oracle.pkl", given))
    _assert_equal(found, [array.astype(np.float32) for array in given])
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_npz_files_are_read_by_name(tmp_path: Path) -> None:
    given = arrays()
    named = dict(zip(oracle.NAMES, given, strict=True))
    np.savez(tmp_path / "oracle.npz", **dict(reversed(named.items())))
    _assert_equal(oracle.load_parameters(tmp_path / "oracle.npz"), given)


def test_the_names_of_an_npz_are_documented_by_hand() -> None:
    assert (
        *("embedding", "W_i", "U_i", "b_i", "W_f", "U_f", "b_f", "W_o", "U_o", "b_o"),
        *("W_g", "U_g", "b_g", "W_out", "b_out"),
    ) == oracle.NAMES


def _assert_equal(found: dict[str, Any], given: list[np.ndarray]) -> None:
    for array, expected in zip(found.values(), given, strict=True):
        np.testing.assert_array_equal(array, expected)


# -- files that are not ----------------------------------------------------------------------


class Calls:
    """Pickles as a call of ``function`` with ``arguments``, then with a state."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {canary}",), "system"),
        (eval, ("open({canary!r}, 'w')",), "eval"),
        (open, ("{canary}", "w"), "open"),
        (np.load, ("{canary}",), "load"),
        (np.memmap, ("{canary}", "float32", "w+", 0, (4,)), "memmap"),
        (torch.load, ("{canary}",), "load"),
        (bytearray, (8,), "bytearray"),
    ],
)
def test_no_other_name_is_resolved(
    tmp_path: Path, function: Callable[..., Any], arguments: tuple[Any, ...], named: str
) -> None:
    canary = str(tmp_path / "canary")
    filled = [a.format(canary=canary) if isinstance(a, str) else a for a in arguments]
    for protocol in (0, 2, 4):
        path = written(tmp_path / "evil.pkl", [Calls(function, *filled)] * 15, protocol)
        assert "only numpy arrays are admitted" in _complaint(path)
        assert named in _complaint(path)
        assert not os.path.exists(canary)


def test_a_forged_dtype_does_not_reach_numpy(tmp_path: Path) -> None:
    """Objects inside a structure that denies holding any: numpy would follow these bytes."""
    forged = Calls(
        np.dtype, "V8", False, True, state=(3, "|", None, ("a",), {"a": ("O", 0)}, 8, 1, 0)
    )
    reconstruct = arrays()[0].__reduce__()[0]
    evil = Calls(reconstruct, np.ndarray, (0,), b"b", state=(1, (4,), forged, False, b"A" * 32))
    assert "only numbers are admitted" in _complaint(written(tmp_path / "evil.pkl", [evil] * 15))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("text", "not a list of numpy arrays"),
        ({"a": 1}, "not a list of numpy arrays"),
        ([1.0] * 15, "not a list of numpy arrays"),
        ([np.array(["a"])] * 15, "only numbers"),
        ([np.array([{}, None])] * 15, "only numbers"),
        ([np.array([1j])] * 15, "only numbers"),
        ([np.zeros(3)], "1 arrays; a published oracle has 15"),
        ([np.zeros(3)] * 15, "must be a matrix"),
        (Calls(bytes.fromhex, "00"), "only numpy arrays"),
    ],
)
def test_pickles_of_other_things(tmp_path: Path, content: object, complaint: str) -> None:
    assert complaint in _complaint(written(tmp_path / "oracle.pkl", content, protocol=4))


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_corrupted_and_truncated_files(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".npz":
        np.savez(whole, **dict(zip(oracle.NAMES, arrays(), strict=True)))
    else:
        written(whole, arrays())
    content = whole.read_bytes()
    broken = tmp_path / f"broken{suffix}"
    for part in (b"", content[:1], content[: len(content) // 2], content[:-1], b"\x80\x09."):
        broken.write_bytes(part)
        _complaint(broken)


@given(data=st.data())
def test_damaged_pickles_never_do_worse_than_a_user_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any byte of the program may be anything: the answer is arrays or one clear line."""
    content = bytearray(pickle.dumps(arrays()[:2], protocol=2))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "oracle.pkl"
    path.write_bytes(bytes(content))
    _complaint(path)  # two arrays are never an oracle


def test_a_size_beyond_the_end_asks_for_no_memory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The interpreter itself would print a complaint, and no handler of ours could hold it."""
    path = tmp_path / "oracle.pkl"
    path.write_bytes(b"\x80\x02]\x96\x00(K\x01X\x01\x00\x00\x00xq\x01e.")  # BYTEARRAY8
    assert "MemoryError" not in _complaint(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("index", range(15))
def test_a_wrong_shape_or_a_nan_is_named(tmp_path: Path, index: int) -> None:
    given = arrays()
    given[index] = np.concatenate([given[index]] * 2)
    message = _complaint(written(tmp_path / "oracle.pkl", given))
    assert "has shape" in message or "must be" in message
    given = arrays()
    for wrong in (np.nan, np.inf):
        given[index].flat[-1] = wrong
        message = _complaint(written(tmp_path / "oracle.pkl", given))
        assert f"{oracle.NAMES[index]} holds numbers that are not finite" in message


def test_values_that_float32_cannot_hold_are_not_finite(tmp_path: Path) -> None:
    given: list[Any] = arrays()
    given[3] = np.full(H, 1e300)
    assert "not finite" in _complaint(written(tmp_path / "oracle.pkl", given))


def test_a_vocabulary_of_one_symbol(tmp_path: Path) -> None:
    given = arrays()
    given[0], given[13], given[14] = given[0][:1], given[13][:, :1], given[14][:1]
    assert "2 symbols" in _complaint(written(tmp_path / "oracle.pkl", given))


def test_an_npz_without_an_array(tmp_path: Path) -> None:
    named = dict(zip(oracle.NAMES, arrays(), strict=True))
    del named["U_o"]
    np.savez(tmp_path / "oracle.npz", **named)
    assert "arrays missing: U_o" in _complaint(tmp_path / "oracle.npz")


def test_an_npz_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    named: dict[str, Any] = dict(zip(oracle.NAMES, arrays(), strict=True))
    named["b_i"] = np.array([Calls(os.system, "false")] * H)
    np.savez(tmp_path / "oracle.npz", **named)
    assert "allow_pickle=False" in _complaint(tmp_path / "oracle.npz")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "No such file" in _complaint(tmp_path / "absent.pkl")
    assert "directory" in _complaint(tmp_path).lower()


def _complaint(path: Path) -> str:
    """Return the one line that loading ``path`` ends in."""
    with pytest.raises(UserError) as caught:
        oracle.load_parameters(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# -- the seed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "known"),
    [
        (
            (5000, 32, 32),
            {
                "7d90dad38398623b3a4176c74fea5418120303cf31cbe9810a9c429b5a4a17f3",  # glibc 2.36
                "84122d8b9080d30d7d7036454b9bfffd8ffd1af4f750241ab6e44e9c218e4326",  # glibc 2.43
            },
        ),
        ((24, 8, 8), {"8ea33dab5f068516ac2404ccc4a8523c76fc2d6504c3588745f484fc1cea1ade"}),
    ],
)
def test_the_seeded_oracles_are_the_same_in_every_version(
    sizes: tuple[int, int, int], known: set[str]
) -> None:
    """Published numbers stay comparable as long as this holds (docs/robustness.md on glibc)."""
    assert oracle.fingerprint(oracle.draw_parameters(94, *sizes)) in known


def test_seeded_parameters_are_standard_normal() -> None:
    drawn = oracle.draw_parameters(0, 5000, 32, 32)
    for name, values in drawn.items():
        error = 1 / np.sqrt(values.size)
        assert abs(values.mean()) < 5 * error, name
        assert abs(values.std() - 1) < 5 * error, name
    everything = np.concatenate([values.ravel() for values in drawn.values()])
    assert abs((everything**4).mean() - 3) < 5 * np.sqrt(96 / everything.size)


def test_tensors_have_independent_streams() -> None:
    """Another size of one part leaves the others alone; another seed moves all."""
    small, large = (oracle.draw_parameters(0, size, 4, 4) for size in (5, 9))
    assert np.array_equal(small["W_f"], large["W_f"])
    assert not np.array_equal(small["W_f"], small["W_o"])
    other = oracle.draw_parameters(1, 5, 4, 4)
    assert not any(np.array_equal(small[name], other[name]) for name in oracle.NAMES)


def test_the_fingerprint_sees_every_array() -> None:
    drawn = oracle.draw_parameters(0, 5, 4, 4)
    seen = {oracle.fingerprint(drawn)}
    for name in oracle.NAMES:
        changed = {**drawn, name: drawn[name].copy()}
        changed[name].flat[-1] += 1
        seen.add(oracle.fingerprint(changed))
    assert len(seen) == 1 + len(oracle.NAMES)


# -- the published oracle (needs a copy of SeqGAN's files) -----------------------------------


@pytest.fixture
def published() -> Path:
    folder = os.environ.get("TEXTBENCH_DATA")
    if not folder:
        pytest.skip("TEXTBENCH_DATA is not set: no local copy of the published oracle")
    return Path(folder) / "oracle"


@pytest.mark.shared
def test_the_authors_own_samples_have_the_oracles_entropy(published: Path) -> None:
    """9,984 sequences written by SeqGAN's TensorFlow sampler (its history, MLE_SeqGAN/save)."""
    parameters = oracle.load_parameters(published / "target_params_py3.pkl")
    model = oracle.build(parameters, length=20)
    text = (published / "seqgan_real_data.txt").read_text(encoding="ascii")
    real = torch.tensor([[int(x) for x in line.split()] for line in text.splitlines()])
    assert real.shape == (9984, 20)
    assert mean_nll(model, real) == pytest.approx(5.756, abs=0.02)


@pytest.mark.shared
def test_an_untrained_generator_scores_as_in_the_authors_logs(
    published: Path, make_context: Callable[..., Any]
) -> None:
    """SeqGAN's and CoT's logs at iteration 0: NLL_oracle 11.43, NLL_test 8.52, JSD 8.37."""
    assert published.is_dir()
    task = Synthetic(SyntheticConfig(oracle="published", test_size=1000))
    context = make_context(5000, 20, embedding=32, hidden=32)
    evaluation = Evaluation(
        context.initial_generator(), task, seed=0, moment="epoch 0", samples=1000
    )
    nll_oracle = -float(evaluation.on_samples.log_b.mean()) / 20
    assert nll_oracle == pytest.approx(11.43, abs=0.1)
    assert evaluation.test_nll == pytest.approx(8.52, abs=0.01)
    assert 8.2 < JSD().compute(evaluation)["jsd_stepwise"] < 8.5


@pytest.mark.shared
def test_the_published_parameters_are_recognised_in_any_file(
    published: Path, tmp_path: Path
) -> None:
    parameters = oracle.load_parameters(published / "target_params_py3.pkl")
    np.savez(tmp_path / "mine.npz", **parameters)
    for file in (published / "target_params_py3.pkl", tmp_path / "mine.npz"):
        assert Synthetic(SyntheticConfig(oracle=str(file))).oracle_name == "published"
    np.savez(tmp_path / "mine.npz", **{**parameters, "b_out": parameters["b_out"] + 1e-3})
    config = SyntheticConfig(oracle=str(tmp_path / "mine.npz"))
    assert Synthetic(config).oracle_name == str(tmp_path / "mine.npz")


@pytest.mark.shared
def test_the_published_oracles_own_entropy(published: Path) -> None:
    parameters = oracle.load_parameters(published / "target_params_py3.pkl")
    model = oracle.build(parameters, length=20)
    sample = model.sample(1000, stream(0, "tests", "entropy"))
    assert mean_nll(model, sample) == pytest.approx(5.756, abs=0.05)
