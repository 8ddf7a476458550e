"""The page says what the numbers say, no more; it is one file; and its films play in a browser."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ElementTree
import zlib
from html.parser import HTMLParser

import av
import numpy as np
import pytest

from agents.callbacks import JsonlWriter, make_writers
from agents.machine import PeakMemory, hardware, versions
from agents.report import charts
from agents.report.dreams import Clip, Media, Trace, slow_motion
from agents.report.media import mp4_bytes, png_bytes, side_by_side
from agents.report.page import render, write_report
from agents.report.returns import verdict
from agents.results import stored_arm
from agents.rows import read_rows

NONE = {"mean": None, "sem": None, "episodes": None, "steps": None, "source": None}


def _arm(mean, sem=1.0):
    returns = [mean - 2 * sem, mean, mean + 2 * sem]
    return {"mean": mean, "sem": sem, "episodes": 3, "ci95": [mean - 2 * sem, mean + 2 * sem], "returns": returns}


def _report(**changes):
    horizons = list(range(1, 51))
    report = {
        "task": "wmenv/Toy<script>-v0",
        "seed": 3,
        "modality": "frames",
        "behaviour": "random",
        "policies": 1,
        "rounds": [{"real_steps": 100, "policy_steps": 300, "mean": 1.0, "sem": 0.1, "episodes": 3}],
        "returns": {
            "random": _arm(5.0),
            "zero": _arm(20.0),
            "dream": _arm(100.0),
            "real_equal_steps": _arm(40.0),
            "real_equal_policy_steps": NONE,
        },
        "dream_return": _arm(120.0),
        "real_steps": 12_000,
        "policy_steps": 300_000,
        "dream_horizon": 200,
        "speed": {"real_camera_fps": 1000.0, "dream_fps": 5000.0, "ratio": 5.0, "num_dreams": 256},
        "alignment": None,
        "horizon_error": {"horizons": horizons, "dream": horizons, "copy_last": horizons, "linear": horizons},
        "learning_curve": {"steps": [1, 2, 3], "returns": [1.0, 2.0, 3.0]},
        "wall_seconds": {"record": 5.0, "train": 200.0, "total": 205.0},
        "peak_memory_gib": 1.5,
        "versions": {"torch": "2"},
        "hardware": {"cpu": "x", "cores": 2, "memory_gib": 8, "gpu": None},
        "command": "wmenv demo",
        "commands": ["wmenv record"],
    }
    return report | changes


def _film(frames=9, size=16):
    film = np.zeros((frames, size, size, 3), np.uint8)
    for t in range(frames):
        film[t, 4:8, t : t + 4] = (250, 200, 20)
    return film


def _with(report, **arms):
    return report | {"returns": report["returns"] | arms}


class _Page(HTMLParser):
    """Open tags, sources and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.sources, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "circle", "line", "polyline", "rect"):
            self.open.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        if tag not in ("circle", "line", "polyline", "rect"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def test_the_page_is_one_well_formed_file_without_foreign_links():
    clip = Clip(real=_film(60), dreamed=_film(60), actions="the policy’s actions")
    page = render(_report(), Media(fps=25.0, clips=[clip, clip], policy_film=_film()))
    parsed = _Page(page)
    assert parsed.open == []
    assert "encoder turns each picture" in parsed.text
    state = _Page(render(_report(modality="state"), Media(fps=25.0, policy_film=_film())))
    assert "It sees no picture" in state.text and "each picture" not in state.text
    assert len(parsed.sources) == 3 + 16 and all(source.startswith("data:") for source in parsed.sources)
    assert "http" not in page and "<script" not in page and "Toy&lt;script&gt;-v0" in page
    assert "prefers-color-scheme: dark" in page
    for section in (
        "How good is it",
        "Watch it",
        "What does a dream look like",
        "How long can it be trusted",
        "Where did",
    ):
        assert section in parsed.text
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ElementTree.fromstring(svg)


def test_a_dream_that_ends_early_is_shown_to_its_end():
    clip = Clip(real=_film(60), dreamed=_film(21), actions="the policy’s actions")
    page = render(_report(), Media(fps=25.0, clips=[clip]))
    parsed = _Page(page)
    pictures = sum(source.startswith("data:image") for source in parsed.sources)
    assert "over after 20 steps" in parsed.text and pictures == 8 + 5, "steps 30, 40 and 49 were not dreamed"
    assert page.count("<span>over</span>") == 3
    trace = Trace(names=["x [m]"], real=np.zeros((30, 1)), dreamed=np.zeros((11, 1)), actions="the policy’s actions")
    page = render(_report(modality="state"), Media(fps=25.0, traces=[trace]))
    assert "over after 10 steps" in page
    both = Trace(names=["x [m]"], real=np.zeros((30, 1)), dreamed=np.zeros((30, 1)), actions="the policy’s actions")
    assert "over after" not in render(_report(modality="state"), Media(fps=25.0, traces=[both]))


def test_a_state_model_shows_curves_instead_of_films():
    rng = np.random.default_rng(0)
    trace = Trace(
        names=["qpos:hinge [rad]"], real=rng.normal(size=(30, 1)), dreamed=rng.normal(size=(30, 1)), actions=""
    )
    page = render(_report(modality="state"), Media(fps=25.0, traces=[trace]))
    assert "qpos:hinge [rad]" in page and "<video" not in page and "from the state" in page


def test_report_json_holds_the_numbers_and_refuses_nan(tmp_path):
    report = _report(learning_curve={"steps": [1], "returns": [2.0]})
    write_report(tmp_path, report, Media(fps=25.0))
    assert json.loads((tmp_path / "report.json").read_text()) == report
    with pytest.raises(ValueError, match="JSON"):
        write_report(tmp_path, _report(peak_memory_gib=float("nan")), Media(fps=25.0))


def test_the_verdict_claims_a_win_only_beyond_the_noise():
    assert "from the same experience, dreaming got more" in verdict(_report())
    assert "within the noise" in verdict(_with(_report(), dream=_arm(41.0)))
    worse = verdict(_with(_report(), dream=_arm(30.0)))
    assert "learning without dreams got more" in worse and "no clear gain" not in worse
    assert "no clear gain" in verdict(_with(_report(), dream=_arm(21.0)))
    assert "no clear gain" in verdict(_with(_report(), dream=_arm(4.0)))
    unknown = _with(_report(), dream=_arm(100.0) | {"sem": None})
    assert "got more" not in verdict(unknown), "of one episode nobody knows the noise"


def test_the_share_is_counted_from_the_better_of_random_and_zero():
    report = _with(_report(), real_equal_policy_steps={"mean": 120.0, "sem": 2.0, "episodes": 150, "source": "a file"})
    assert "the dreams came 80% far" in verdict(report) and "25 times as many" in verdict(report)
    page = render(report, Media(fps=25.0))
    assert "it comes from a file" in page
    missing = render(_report(), Media(fps=25.0))
    assert "No result is stored for PPO with 300,000 real steps" in missing


def test_the_page_says_where_the_dream_is_no_better_than_a_guess():
    horizons = [1, 2, 3]
    good = {"horizons": horizons, "dream": [1, 2, 3], "copy_last": [2, 3, 4], "linear": [3, 3, 4]}
    assert "the mean of dreams is below both at every step up to 3." in render(
        _report(horizon_error=good), Media(fps=25.0)
    )
    bad = good | {"linear": [3, 1.5, 4], "one_dream": [2.5, 3, 4]}
    page = render(_report(horizon_error=bad), Media(fps=25.0))
    assert "the mean of dreams is below both up to step 1, a single dream up to step 0." in page


def test_the_page_tells_the_trend_it_was_given():
    curve = {"steps": list(range(20)), "returns": [float(20 - i) for i in range(20)]}
    assert "went from 19.5 to 1.5" in render(_report(learning_curve=curve), Media(fps=25.0))


@pytest.mark.parametrize(
    ("rounds", "policies", "told"),
    [
        (1, 1, None),
        (2, 1, "the one from which it began"),
        (1, 2, "In each round 2 policies"),
        (2, 3, "In each round 3 p"),
    ],
)
def test_the_page_tells_who_met_whom(rounds, policies, told):
    done = {"real_steps": 100, "policy_steps": 300, "mean": 1.0, "sem": 0.1, "episodes": 3}
    page = render(_report(rounds=rounds * [done], policies=policies), Media(fps=25.0))
    assert (told or "How did it learn?") in page and ("went on: its" in page) == (told is not None)


@pytest.mark.parametrize(("seconds", "slower"), [(1.0, 3), (10.0, 1), (0.1, 4), (2.0, 2)])
def test_short_films_are_slowed(seconds, slower):
    assert slow_motion(seconds) == slower


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([-15.0, -14.9, -14.8], ["−15.0", "−14.9", "−14.8"]),
        ([0.0, 2.5, 5.0], ["0", "2.5", "5.0"]),
        ([0.0, 0.25, 0.5], ["0", "0.25", "0.50"]),
        ([100000.0, 200000.0], ["100,000", "200,000"]),
    ],
)
def test_tick_labels_tell_neighbours_apart(values, texts):
    assert charts.tick_labels(values) == texts


def test_films_are_h264_that_browsers_play():
    film = side_by_side(_film(8), _film(5), scale=3, gap=8)
    assert film.shape == (8, 48, 48 + 8 + 48, 3)
    np.testing.assert_array_equal(film[4, :, 56:], _film(5)[4].repeat(3, 0).repeat(3, 1))
    np.testing.assert_array_equal(film[7, :, 56:], (_film(5)[4] // 2 + 64).repeat(3, 0).repeat(3, 1))
    with av.open(io.BytesIO(mp4_bytes(film, 25.0))) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 25.0
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 8
    assert np.abs(frames[3].astype(int) - film[3]).mean() < 12


def test_fast_and_odd_films_are_made_playable():
    with av.open(io.BytesIO(mp4_bytes(_film(50, size=17), 125.0))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (16, 16) and float(stream.average_rate) == 62.5
        assert sum(1 for _ in container.decode(stream)) == 25


def test_png_is_bit_exact():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    data = png_bytes(image)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    length = int.from_bytes(data[33:37], "big")
    rows = zlib.decompress(data[41 : 41 + length])
    np.testing.assert_array_equal(np.frombuffer(rows, np.uint8).reshape(5, 22)[:, 1:].reshape(5, 7, 3), image)
    frame = next(av.open(io.BytesIO(data)).decode(video=0)).to_ndarray(format="rgb24")
    np.testing.assert_array_equal(frame, image)
    assert base64.b64decode(base64.b64encode(data)) == data


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-43.2, -4.1), (3, 3), (0, 1e6), (1e-6, 2e-6), (-1, 1)])
def test_ticks_are_round_and_enclose(low, high):
    inside, around = charts.ticks(low, high, 5), charts.ticks(low, high, 5, around=True)
    span = max(high - low, 1e-12)
    assert 2 <= len(around) <= 9 and around[0] <= low + 1e-6 * span and around[-1] >= high - 1e-6 * span
    assert all(low - 1 - 1e-6 * span <= tick <= high + 1 + 1e-6 * span for tick in inside)


def test_a_curve_stays_inside_its_frame():
    line = charts.Line(name="a", x=[0, 1, 2], y=[5.0, float("nan"), -3.0])
    svg = ElementTree.fromstring(charts.line_chart([line, line], x_label="x", y_label="y"))
    for curve in svg.iter("polyline"):
        points = [tuple(map(float, point.split(","))) for point in curve.get("points").split()]
        assert len(points) == 2 and all(0 <= x <= 720 and 0 <= y <= 300 for x, y in points)
    labels = [float(text.get("y")) for text in svg.iter("text") if "label" in text.get("class")]
    assert abs(labels[0] - labels[1]) >= 16.9, "equal ends are named without overlap"
    assert "No measurements" in charts.line_chart([], x_label="x", y_label="y")


def test_a_stored_baseline_is_averaged_over_seeds_and_names_its_source(tmp_path):
    rows = [
        {
            "task": "t",
            "modality": "frames",
            "seed": seed,
            "command": "python -m benchmarks.results",
            "hardware": {"cpu": "C"},
            "policy_steps": 1000 + seed,
            "returns": {"real_equal_policy_steps": {"mean": mean, "sem": 1.0, "episodes": 50}},
        }
        for seed, mean in ((0, 10.0), (1, 14.0))
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arm = stored_arm("t", "frames", "real_equal_policy_steps", tmp_path)
    assert (arm["mean"], arm["sem"], arm["episodes"], arm["seeds"]) == (12.0, 2.0, 100, 2)
    assert arm["steps"] == 1000, "its own steps, not those of the demo that shows it"
    assert "results/a.jsonl" in arm["source"] and "python -m benchmarks.results" in arm["source"]
    assert stored_arm("t", "state", "real_equal_policy_steps", tmp_path) == NONE
    assert stored_arm("u", "frames", "real_equal_policy_steps", tmp_path / "nowhere") == NONE


def test_the_record_survives_a_cut_line_and_leaves_out_what_is_no_number(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for _ in range(2):
        writer = JsonlWriter(path, seed=4)
        writer.write({"a": np.float32(1.5), "b": float("nan"), "c": "text", "d": [1]}, {}, step=7)
        writer.close()
    with open(path, "a") as file:
        file.write('{"steps": 8, "a":')
    rows = read_rows(path)
    assert len(rows) == 2
    writer = JsonlWriter(path)
    writer.write({"a": 2}, {}, step=9)
    writer.close()
    assert [row["steps"] for row in read_rows(path)] == [7, 7, 9], "the row after a cut one is whole"
    assert {k: v for k, v in rows[0].items() if k != "time"} == {"a": 1.5, "c": "text", "seed": 4, "steps": 7}
    assert read_rows(tmp_path / "none") == []


def test_tensorboard_and_wandb_are_written_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    calls = []

    class Run:
        def log(self, row, step):
            calls.append((row, step))

        def finish(self):
            calls.append("finished")

    import wandb

    monkeypatch.setattr(wandb, "init", lambda **options: calls.append(options) or Run())
    writers = make_writers(tmp_path, {"seed": 0}, tensorboard=True, wandb=True)
    for writer in writers:
        writer.write({"a": 1.0, "bad": float("inf")}, {"a": (), "bad": ()}, 5)
        writer.close()
    assert calls[0]["mode"] == "offline" and calls[1:] == [({"a": 1.0}, 5), "finished"]
    assert list((tmp_path / "tensorboard").glob("events.out.*")) and len(read_rows(tmp_path / "metrics.jsonl")) == 1


def test_the_machine_is_described_and_memory_is_watched():
    assert {"python", "torch"} <= set(versions())
    assert set(hardware()) == {"cpu", "cores", "memory_gib", "gpu"}
    with PeakMemory(every_seconds=0.01) as memory:
        block = np.ones(60_000_000 // 8)
    assert memory.peak > block.nbytes


def test_logarithmic_axes_have_powers_of_ten_and_dots_have_their_name_beside_them():
    assert charts.log_ticks(3, 20_000) == [1, 10, 100, 1000, 10_000, 100_000]
    assert charts.log_ticks(1, 64) == [1, 2, 5, 10, 20, 50, 100]
    assert charts.log_labels([1e-7, 0.01, 1, 20_000]) == ["1e−07", "0.01", "1", "20,000"]
    lines = [charts.Line(name="few", x=[1, 100], y=[1, 100]), charts.Line(name="dot", x=[10], y=[10])]
    svg = charts.line_chart(lines, x_label="x", y_label="y", logarithmic=True)
    (few, dot) = (float(re.search(rf'x="([\d.]+)"[^>]*>{name}<', svg)[1]) for name in ("few", "dot"))
    first, last = (float(at) for at in re.search(r'points="([\d.]+),[\d.]+ ([\d.]+),', svg).groups())
    assert dot - 10 == pytest.approx((first + last) / 2, abs=0.2), "10 lies half way from 1 to 100"
    assert few > last


def _verdict(violations):
    return {"violations": violations, "plausible": 0.5, "clip_score": {"median": 2.0}}


def test_the_verdict_of_physics_is_told_where_there_is_one():
    media = Media(fps=25.0)
    silent = render(_report(), media)
    assert "physics" not in silent
    short = render(_report(alignment={"updates": 3, "why_not": "data: expected <48> stretches"}), media)
    assert "Nothing this time: data: expected &lt;48&gt; stretches." in short
    judged = {
        name: {"V": _verdict(share), "J": _verdict(share / 2)} for name, share in (("real", 0.02), ("before", 0.31))
    }
    judged["after"] = {"V": _verdict(0.12), "J": _verdict(0.4), "gap": 0.1}
    told = render(_report(alignment={"updates": 20, **judged}), media)
    assert (
        "31.0% of the dreamed frames looked like no real one before, and 12.0% after; of recorded frames 2.0% do"
        in told
    )
    assert "<h3>Two judges</h3>" in told and "40.0%" in told and "+10 points" in told
