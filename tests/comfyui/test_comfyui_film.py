"""The node that paints a video, on stubs of ComfyUI."""

import io
import sys
from pathlib import Path

import pytest

pytest.importorskip("av")
sys.path.insert(0, str(Path(__file__).parents[1]))
from small_films import look_at, make_film
from stubs import InterruptProcessingException, VideoFromFile, host

import adainkit

PAINT = {"alpha": 1.0, "preserve_color": "none", "color_strength": 1.0, "stroke_scale": 1.0, "detail": 0.0}


def test_a_video_keeps_its_times_and_its_sound(pack, comfy, model, tmp_path):
    style = pack.AdaINPresetStyle.execute("ember").args[0]
    source = make_film(tmp_path / "in.mp4", 6)
    for given in (str(source), io.BytesIO(source.read_bytes())):
        out = pack.AdaINStylizeVideo.execute(VideoFromFile(given), model, style, statistics="clip", **PAINT).args[0]
        before, after = look_at(source), look_at(Path(out.get_stream_source()))
        assert after["times"] == before["times"]
        assert after["sound"] == before["sound"]
        assert Path(out.get_stream_source()).parent.name == "temp"
    assert len(list(Path(out.get_stream_source()).parent.iterdir())) == 2
    assert host.bars[-1].values[-1] == host.bars[-1].total


def test_it_stops_and_leaves_nothing(pack, comfy, model, tmp_path):
    style = pack.AdaINPresetStyle.execute("ember").args[0]
    source = make_film(tmp_path / "in.mp4", 6)
    before = set(host.base.glob("temp/*"))
    host.interrupt_at = 9
    with pytest.raises(InterruptProcessingException):
        pack.AdaINStylizeVideo.execute(VideoFromFile(str(source)), model, style, **PAINT)
    host.interrupt_at = None
    assert set(host.base.glob("temp/*")) == before
    with pytest.raises(adainkit.StyleError, match="takes one style"):
        pack.AdaINStylizeVideo.execute(VideoFromFile(str(source)), model, (*style, *style), **PAINT)


def test_a_trimmed_video_is_painted_in_part_and_a_mov_stays_one(pack, comfy, model, tmp_path):
    class Trimmed(VideoFromFile):
        def get_active_trim_window(self):
            return 0.1, 0.2

    style = pack.AdaINPresetStyle.execute("ember").args[0]
    source = make_film(tmp_path / "in.mov", 12, codec="prores_ks", form="yuva444p10le", sound=None)
    for given in (str(source), io.BytesIO(source.read_bytes())):
        out = pack.AdaINStylizeVideo.execute(Trimmed(given), model, style, statistics="clip", **PAINT).args[0]
        made = Path(out.get_stream_source())
        found = look_at(made)
        assert made.suffix == ".mov"
        assert (found["codec"], found["form"]) == ("prores", "yuva444p12le")
        assert len(found["times"]) == 6
