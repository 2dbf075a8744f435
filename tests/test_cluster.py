"""A cluster makes what one machine makes: its tasks, its places and shards, an actor without Ray, and one real run."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import Run, files_below, noise, runner

from adainkit.atomic import remove_leftovers
from adainkit.batch.chosen import ChosenStyles
from adainkit.batch.random_styles import RandomStyles
from adainkit.distributed.actor import Actor
from adainkit.distributed.begun import Begun
from adainkit.distributed.driver import Resources, run_tasks
from adainkit.distributed.places import Listing, is_uri, upload
from adainkit.distributed.scratch import Scratch
from adainkit.distributed.shards import Made, open_sink, read_shard
from adainkit.distributed.spec import Spec
from adainkit.distributed.tasks import Listings, Task, UriStyles, plan_tasks
from adainkit.errors import AdaINKitError, ImageError

needs_parquet = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")
needs_fsspec = pytest.mark.skipif(importlib.util.find_spec("fsspec") is None, reason="needs fsspec")
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or sys.platform != "linux", reason='needs Linux and "adainkit[ray]"'
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: in/ with five pictures in a tree and a broken one; art/ with three styles."""
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        noise(f"in/{'deep/' * (number % 2)}{number}.png", number, (33, 25))
    Path("in/broken.jpg").write_bytes(b"no picture")
    for number in range(3):
        noise(f"art/{number}.png", 100 + number, (40, 32))
    return tmp_path


@pytest.fixture
def plain(here: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, bytes]:
    """What the plain command makes of in/."""
    run = runner(capsys, "stylize", "in", "--random-style", "art", "--no-record", after=("--device", "cpu"))
    assert run("-o", "plain/", "--manifest", "plain.jsonl").code == 1
    return contents("plain")


def contents(folder: str | Path) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in files_below(folder)}


def rows(manifest: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(manifest).read_text(encoding="utf-8").splitlines()]


# ---- Ray, as it is on a machine of one process: calls are done when they are waited for


@dataclass(eq=False)
class Call:
    number: int
    run: Any


class FakeRay:
    """`remote`, `wait`, `get`, `kill` and `nodes` of Ray. `deaths`: calls, by number, whose actor is dead instead."""

    def __init__(self, deaths: tuple[int, ...] = ()) -> None:
        self.deaths, self.calls = set(deaths), 0
        self.killed = 0

    def remote(self, kind: type) -> Any:
        def make(spec: Spec) -> Any:
            actor = kind(spec)
            return SimpleNamespace(
                prepare=SimpleNamespace(remote=lambda: self._call(actor.prepare)),
                step=SimpleNamespace(remote=lambda tasks: self._call(actor.step, tasks)),
                close=SimpleNamespace(remote=lambda: self._call(actor.close)),
                end=actor.close,
            )

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=make))

    def _call(self, method: Any, *arguments: Any) -> Any:
        self.calls += 1
        return Call(self.calls, lambda: method(*arguments))

    def wait(self, calls: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return calls[:1], calls[1:]

    def get(self, call: Any, timeout: float | None = None) -> Any:
        if call.number in self.deaths:
            from ray.exceptions import ActorDiedError

            raise ActorDiedError()
        return call.run()

    def kill(self, actor: Any) -> None:
        self.killed += 1
        with suppress(AttributeError):  # it was never prepared
            actor.end()

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}]


def run_fake(tasks: list[Task], spec: Spec, ray: FakeRay, **more: Any) -> list[Any]:
    return list(run_tasks(ray, tasks, spec, Resources(actors=2, window=2), **more))


def spec_of(here: Path, **more: Any) -> Spec:
    return Spec(ChosenStyles({}, random=RandomStyles(here / "art")), device="cpu", **more)


def tasks_of(here: Path, to: str = "same", contents: tuple[str, ...] = ("in",), out: str = "out") -> list[Task]:
    styles = RandomStyles(here / "art")
    return plan_tasks(list(contents), out, listings=Listings(), to=to, shard_size=4, styles_of=styles.of)


# ---- one real run


@needs_ray
@pytest.mark.slow
def test_a_real_cluster_makes_the_files_of_one_machine_whatever_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A worker, a node and the driver are killed in a run each: minutes on a busy machine."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    from benchmarks.cluster import kills, make_tree

    make_tree(tmp_path, 24, 64)
    found = kills(tmp_path, 0, 3)
    assert [row["same"] for row in found] == [True] * 3
    assert {row["killed"].split()[0] for row in found if row["killed"]} <= {"worker", "node", "driver"}


# ---- the driver


def test_the_driver_does_each_picture_once(plain: dict[str, bytes], here: Path):
    ended: list[Any] = []
    found = run_fake(tasks_of(here), spec_of(here), ray := FakeRay(), ended=ended.append)
    assert sorted(o.job.source for o in found) == sorted(f"in/{name}" for name in files_below("in"))
    assert ended == found
    assert [o.job.source for o in found if o.error] == ["in/broken.jpg"]
    assert "in/broken.jpg" in str(next(o.error for o in found if o.error))
    assert contents("out").keys() == plain.keys()
    assert ray.killed == 2


@needs_ray
@pytest.mark.parametrize("deaths", [(1, 2), (3,), (3, 4, 5), (4, 6, 8)])
def test_what_a_dead_worker_held_is_done_again(here: Path, deaths: tuple[int, ...]):
    begun: list[str] = []
    found = run_fake(tasks_of(here), spec_of(here), FakeRay(deaths), begun=begun.extend)
    assert sorted(o.job.source for o in found) == sorted(f"in/{name}" for name in files_below("in"))
    assert [o.job.source for o in found if o.error] == ["in/broken.jpg"]
    assert len(begun) >= 6
    assert len(files_below("out")) == 5


@needs_ray
def test_a_picture_that_kills_its_workers_is_told_and_the_others_are_done(here: Path):
    class Poison(FakeRay):
        def _call(self, method: Any, *arguments: Any) -> Any:
            call = super()._call(method, *arguments)
            if arguments and any(task.source.endswith("in/2.png") for _, task in arguments[0]):
                self.deaths.add(call.number)
            return call

    found = run_fake(tasks_of(here), spec_of(here), Poison())
    failed = {o.job.source: str(o.error) for o in found if o.error}
    assert failed.keys() == {"in/broken.jpg", "in/2.png"}
    assert "4 workers died" in failed["in/2.png"]
    assert len(files_below("out")) == 4


@needs_ray
def test_workers_that_never_start_are_an_error(here: Path):
    with pytest.raises(AdaINKitError, match="workers die as they start"):
        run_fake(tasks_of(here), spec_of(here), FakeRay(tuple(range(1, 50))))


def test_what_was_begun_is_ours_until_the_end(tmp_path: Path):
    begun = Begun(tmp_path / "run.jsonl")
    begun.add([str(tmp_path / "a.png"), "s3://bucket/b.png"])
    begun.close(ended=False)
    with begun.path.open("ab") as stream:
        stream.write(b'"/torn')
    again = Begun(tmp_path / "run.jsonl")
    assert [again.is_ours(str(tmp_path / name)) for name in ("a.png", "c.png")] == [True, False]
    assert again.is_ours("s3://bucket/b.png")
    again.add([str(tmp_path / "c.png")])
    again.close(ended=False)
    last = Begun(tmp_path / "run.jsonl")
    assert last.is_ours(str(tmp_path / "c.png"))
    last.close(ended=True)
    assert list(tmp_path.iterdir()) == []


def test_half_written_files_of_the_dead_are_cleared_away(tmp_path: Path):
    for name in (".a-0123456789ab.png", ".a-0123456789ab.jpg", ".a-012.png", ".ab-0123456789ab.png", "a.png"):
        (tmp_path / name).write_bytes(b"")
    assert remove_leftovers(tmp_path / "a.png") == 1
    assert files_below(tmp_path) == {".a-0123456789ab.jpg", ".a-012.png", ".ab-0123456789ab.png", "a.png"}
    assert remove_leftovers(tmp_path / "no folder/a.png") == 0


# ---- an actor


def prepared(spec: Spec) -> Actor:
    actor = Actor(spec)
    actor.prepare()
    return actor


def do(spec: Spec, tasks: list[Task]) -> dict[int, Any]:
    actor = prepared(spec)
    found = dict(actor.step(list(enumerate(tasks))))
    while len(found) < len(tasks):
        found |= dict(actor.step([]))
    actor.close()
    return found


def test_pictures_of_one_size_together_are_those_of_one_by_one(here: Path):
    one = do(spec_of(here, threads=1), tasks_of(here, out="one"))
    many = do(spec_of(here, threads=1, batch=4), tasks_of(here, out="many"))
    assert [bool(e.error) for _, e in sorted(one.items())] == [bool(e.error) for _, e in sorted(many.items())]
    from PIL import Image, ImageChops

    assert files_below("one") == files_below("many")
    for name in files_below("one"):
        with Image.open(f"one/{name}") as a, Image.open(f"many/{name}") as b:
            assert max(high for _, high in ImageChops.difference(a, b).getextrema()) <= 2  # a palette may double


def test_errors_of_the_options_are_raised_before_any_picture(here: Path):
    with pytest.raises(AdaINKitError):
        Actor(spec_of(here, dtype="float8")).prepare()
    with pytest.raises(ImageError, match="crop"):
        Actor(spec_of(here, options={"crop": -1})).prepare()


def test_actors_of_one_machine_share_its_memory(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ADAINKIT_MEMORY", "1")
    prepared(spec_of(here, memory=123 << 20)).close()
    assert os.environ["ADAINKIT_MEMORY"] == str(123 << 20)
    monkeypatch.delenv("ADAINKIT_MEMORY")
    monkeypatch.setattr("adainkit.engine.memory.available_memory", lambda: 4 << 30)
    prepared(spec_of(here, crowd=4)).close()
    assert os.environ["ADAINKIT_MEMORY"] == str(1 << 28)


# ---- shards


def test_a_tree_becomes_shards_and_shards_become_shards_and_trees(plain: dict[str, bytes], here: Path):
    packed = tasks_of(here, "tar")
    assert [len(task.members) for task in packed] == [4, 2]
    ended = do(spec_of(here), packed)
    assert sum(bool(m[4]) for e in ended.values() for m in e.members) == 1
    made = {}
    for path in sorted(Path("out").glob("*.tar")):
        with tarfile.open(path) as tar:
            made |= {member.name: tar.extractfile(member).read() for member in tar}
    assert made == plain

    with tarfile.open("in.tar", "w") as tar:
        tar.add("in/0.png", "0.png")
        Path("0.cls").write_text("7")
        tar.add("0.cls", "0.cls")
        tar.add("in/broken.jpg", "broken.jpg")
        tar.add("in/deep/1.png", "deep/1.png")
    (task,) = tasks_of(here, contents=("in.tar",))
    assert (task.source, task.target) == ("in.tar", "out/in.tar")
    (ended,) = do(spec_of(here), [task]).values()
    assert [member[:2] for member in ended.members] == [
        (f"in.tar#{name}", f"out/in.tar#{name}") for name in ("0.png", "broken.jpg", "deep/1.png")
    ]
    assert "in.tar#broken.jpg" in ended.members[1][4]
    with tarfile.open("out/in.tar") as tar:
        assert tar.getnames() == ["0.png", "0.cls", "deep/1.png"]
        assert tar.extractfile("deep/1.png").read() == plain["deep/1.png"]
        assert tar.extractfile("0.cls").read() == b"7"

    do(spec_of(here), tasks_of(here, "tree", contents=("in.tar",), out="tree"))
    assert contents("tree/in") == {name: plain[name] for name in ("0.png", "deep/1.png")}


@needs_parquet
def test_tables_keep_their_other_columns(plain: dict[str, bytes], here: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["0.png", "broken.jpg", "deep/1.png"]
    cells = [{"bytes": Path("in", name).read_bytes(), "path": name} for name in names]
    table = pa.table({"label": [3, 4, 5], "image": cells}).replace_schema_metadata({"of": "somebody"})
    pq.write_table(table, "in.parquet")
    (ended,) = do(spec_of(here), tasks_of(here, contents=("in.parquet",))).values()
    assert ended.error == ""
    made = pq.read_table("out/in.parquet")
    assert made.schema.equals(table.schema, check_metadata=True)
    assert made["label"].to_pylist() == [3, 5]
    assert made["image"].to_pylist() == [{"bytes": plain[n], "path": n} for n in ("0.png", "deep/1.png")]

    pq.write_table(pa.table({"key": ["0.png"], "png": [cells[0]["bytes"]]}), "plain.parquet")
    do(spec_of(here), tasks_of(here, contents=("plain.parquet",)))
    assert pq.read_table("out/plain.parquet").to_pylist() == [{"key": "0.png", "png": plain["0.png"]}]

    do(spec_of(here), tasks_of(here, "parquet", out="packed"))
    packed = [row["image"] for path in sorted(Path("packed").glob("*")) for row in pq.read_table(path).to_pylist()]
    assert {row["path"]: row["bytes"] for row in packed} == plain


@pytest.mark.parametrize("name", ["x.tar", "x.parquet"])
def test_damaged_shards_are_an_error_of_theirs(here: Path, name: str):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    Path(name).write_bytes(b"neither of both " * 99)
    (ended,) = do(spec_of(here), tasks_of(here, contents=(name,))).values()
    assert name in ended.error
    assert "damaged shard" in ended.error
    assert not Path("out", name).exists()


def test_names_that_lead_out_of_the_tree_are_refused(here: Path):
    with tarfile.open("in.tar", "w") as tar:
        tar.add("in/0.png", "../../evil.png")
        tar.add("in/2.png", "good.png")
    (ended,) = do(spec_of(here), tasks_of(here, "tree", contents=("in.tar",))).values()
    assert files_below("out") == {"in/good.png"}
    assert "leads out" in ended.members[0][4]
    assert not list(here.parent.glob("evil*"))


def test_samples_without_a_picture_stay(tmp_path: Path):
    sink = open_sink(tmp_path / "a.tar", "tar")
    from adainkit.distributed.shards import Chunk, Sample

    sink.write(Chunk([Sample("a/x", None, (("txt", b"words"),))]), [Made(0, "a/x", None)])
    sink.close()
    (chunk,) = read_shard(tmp_path / "a.tar", "a.tar")
    assert chunk.samples == [Sample("a/x", None, (("txt", b"words"),))]


# ---- what may never be replaced


def test_what_is_read_is_never_replaced(here: Path):
    shutil.copytree("in", "data")
    with tarfile.open("data/x.tar", "w") as tar:
        tar.add("in/0.png", "0.png")
    (here / "link").symlink_to("data")
    for out in ("data", f"{here}/data/", "link"):
        found = plan_tasks(["data"], out, listings=Listings(), overwrite=True)
        assert {task.source for task in found if "read here" not in task.problem} == set(), out
    found = plan_tasks(["data/x.tar"], "out", listings=Listings(), overwrite=True, protected=["out/x.tar"])
    assert "read here" in found[0].problem
    assert not any(task.problem for task in plan_tasks(["data"], "out", listings=Listings(), to="tar"))


@needs_fsspec
def test_an_object_that_is_read_is_never_replaced(here: Path):
    found = plan_tasks([f"file://{here}/in"], f"{here}/in", listings=Listings(), overwrite=True)
    assert all("read here" in task.problem for task in found)


def test_results_within_the_contents_are_no_contents(here: Path):
    for name in ("x.tar", "out/x.tar"):
        Path("in", name).parent.mkdir(exist_ok=True)
        with tarfile.open(Path("in", name), "w") as tar:
            tar.add("in/0.png", "0.png")
    shards = [task for task in plan_tasks(["in"], "in/out", listings=Listings(), overwrite=True) if task.is_shard]
    assert [(task.source, task.target, task.problem) for task in shards] == [("in/x.tar", "in/out/x.tar", "")]


def test_files_of_a_shard_and_of_a_folder_are_kept_apart(here: Path):
    noise("both/x/1.png", 1)
    with tarfile.open("both/x.tar", "w") as tar:
        tar.add("both/x/1.png", "1.png")
    found = {task.source: task.problem for task in plan_tasks(["both"], "out", listings=Listings(), to="tree")}
    assert found["both/x.tar"] == ""
    assert "among those of both/x.tar" in found["both/x/1.png"]


def test_pictures_of_one_name_in_a_shard_all_become_files(here: Path):
    names = ["same.png", "same.png", "same-2.png", "same.png"]
    with tarfile.open("in.tar", "w") as tar:
        for number, name in enumerate(names):
            Path("label.txt").write_text(str(number))
            tar.add(f"in/{'deep/' * (number % 2)}{number}.png", name)
            tar.add("label.txt", f"between{number}.txt")  # so that they are samples of their own
    (ended,) = do(spec_of(here), tasks_of(here, "tree", contents=("in.tar",))).values()
    assert [member[4] for member in ended.members] == [""] * 4
    assert [Path(member[1]).name for member in ended.members] == [
        "same.png", "same-2.png", "same-3.png", "same-4.png",
    ]  # fmt: skip
    assert len(set(contents("out/in").values())) == 4


def test_two_pictures_of_one_name_are_not_packed_into_shards(here: Path):
    noise("other/0.png", 9)
    found = tasks_of(here, "tar", contents=("in", "other"))
    assert [task.source for task in found if "two pictures of the name 0.png" in task.problem] == ["other/0.png"]
    assert sum(len(task.members) for task in found) == 6


# ---- what is left behind


def test_a_finished_shard_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").write_bytes(b"gigabytes")
    with monkeypatch.context() as patch:
        patch.delattr(Path, "read_bytes")
        upload(tmp_path / "a", str(tmp_path / "out/b"))
    assert (tmp_path / "out/b").read_bytes() == b"gigabytes"


@needs_fsspec
def test_pictures_that_fail_leave_no_download(here: Path):
    Path("in/0.png").write_bytes(Path("in/0.png").read_bytes()[:500])  # its header is whole
    tasks = plan_tasks([f"file://{here}/in"], "out", listings=Listings(), styles_of=RandomStyles("art").of)
    actor = prepared(spec_of(here))
    found: dict[int, Any] = {}
    while len(found) < len(tasks):
        found |= dict(actor.step([] if found else list(enumerate(tasks))))
    assert sum(bool(each.error) for each in found.values()) == 2
    assert list(actor._work.one._scratch.folder.iterdir()) == []
    actor.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs locks on folders")
def test_what_a_killed_worker_kept_is_removed_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = Scratch()
    words = f"import tempfile, os; tempfile.tempdir = {str(tmp_path)!r}\n"
    words += "from adainkit.distributed.scratch import Scratch\n"
    words += "(Scratch().folder / 'content.png').write_bytes(b'half'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", words], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    Scratch().close()
    assert list(tmp_path.iterdir()) == [living.folder]
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_options_that_are_errors_leave_no_folder(here: Path, monkeypatch: pytest.MonkeyPatch):
    Path("temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(here / "temporary"))
    with pytest.raises(ImageError):
        Actor(spec_of(here, options={"crop": -1})).prepare()
    assert files_below("temporary") == set()
    assert not list(Path("temporary").iterdir())


# ---- places


@needs_fsspec
def test_uris_in_and_out_are_the_same_files(plain: dict[str, bytes], here: Path):
    uri = f"file://{here}"
    styles = UriStyles(f"{uri}/art")
    assert styles.of("deep/1.png") == [f"{uri}/art/{Path(RandomStyles('art').of('deep/1.png')[0]).name}"]
    listings = Listings()
    tasks = plan_tasks([f"{uri}/in"], f"{uri}/out", listings=listings, styles_of=styles.of)
    spec = Spec(ChosenStyles({}, random=styles), device="cpu")
    ended = do(spec, tasks)
    failed = [task.source for key, task in enumerate(tasks) if ended[key].error]
    assert failed == [f"{uri}/in/broken.jpg"]
    assert f"{uri}/in/broken.jpg" in next(e.error for e in ended.values() if e.error)
    assert contents("out") == plain
    again = plan_tasks([f"{uri}/in/deep/*.png"], f"{uri}/out", listings=Listings(), styles_of=styles.of)
    assert [Path(task.source).name for task in sorted(again, key=lambda t: t.source)] == ["1.png", "3.png"]


@needs_fsspec
def test_what_is_at_a_uri_is_known_by_its_listing(here: Path):
    uri = f"file://{here}"
    shutil.copytree("in", "out")
    with pytest.raises(AdaINKitError, match="cannot be opened"):
        Listing("nosuchscheme://place")
    found = plan_tasks([f"{uri}/in"], f"{uri}/out", listings=Listings())
    assert all("exists already" in task.problem for task in found)
    listings = Listings()
    listings.of(f"{uri}/out")
    listings.of(f"{uri}/in")
    os.utime("in/0.png", (2e9, 2e9))
    assert not listings.is_newer(f"{uri}/in/2.png", f"{uri}/out/2.png")
    assert listings.is_newer(f"{uri}/in/2.png", f"{uri}/out/other.png")
    late = Listings()
    late.of(f"{uri}/in")
    late.of(f"{uri}/out")
    assert late.is_newer(f"{uri}/in/0.png", f"{uri}/out/0.png")


@needs_fsspec
def test_an_upload_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from fsspec.implementations.local import LocalFileSystem

    (tmp_path / "a").write_bytes(b"a picture")
    upload(tmp_path / "a", f"file://{tmp_path}/out/b")
    assert contents(tmp_path / "out") == {"b": b"a picture"}

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the connection is gone")

    monkeypatch.setattr(LocalFileSystem, "mv", refuse)
    with pytest.raises(ImageError, match=r"out/c: cannot be written.*connection is gone"):
        upload(tmp_path / "a", f"file://{tmp_path}/out/c")
    assert files_below(tmp_path / "out") == {"b"}


def test_a_drive_is_no_uri():
    assert [is_uri(text) for text in ("s3://b/k", "file:///x", r"C:\x", "C://x", "a/b", "gs://")] == [
        True, True, False, False, False, True,
    ]  # fmt: skip


# ---- the command


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys, "cluster")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("in", "--random-style", "art", "-o", "out/"), "--manifest FILE and -o OUT are needed"),
        (("in", "--random-style", "art", "--manifest", "m"), "--manifest FILE and -o OUT are needed"),
        (("in", "--random-style", "art", "-o", "out/", "--manifest", "s3://b/m"), "must be a local file"),
        (("in", "-o", "out/", "--manifest", "m", "--memory-per-actor", "much"), "like 500M or 2G"),
        (("in", "-o", "out/", "--manifest", "m", "--to", "zip"), "invalid choice"),
    ],
)
def test_wrong_usage_is_told_before_any_work(here: Path, run: Run, words: tuple[str, ...], told: str):
    done = run(*words)
    assert done.code == 2
    assert told in done.err


def test_without_ray_the_error_names_the_extra(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run("in", "--random-style", "art", "-o", "out/", "--manifest", "m.jsonl")
    assert done.code == 1
    assert 'pip install "adainkit[ray]"' in done.err
    assert not Path("out").exists()
