"""The package as a whole: public names, the cost of the import, the wheel, and what no file may say."""

import ast
import doctest
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import adainkit
from adainkit import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "adainkit"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if not path.stem.startswith("__")
)
# The names that the design promises; additions only.
PROMISED = {
    "AdaINModel",
    "Content",
    "ModelConfig",
    "Progress",
    "Style",
    "StyleCache",
    "Stylizer",
    "clear_cache",
    "describe",
    "download",
    "interpolate",
    "models",
    "open_image",
    "register_model",
    "save_image",
    "styles",
    "stylize",
    "stylize_files",
    "stylize_model3d",
    "AdaINKitError",
    "BatchError",
    "Cancelled",
    "DownloadError",
    "FilmError",
    "ImageError",
    "Model3DError",
    "ModelError",
    "OutOfMemoryError",
    "StyleError",
    "WeightsError",
}


def run_python(code: str, *flags: str) -> Any:
    """What `code` prints as JSON in a fresh interpreter."""
    command = [sys.executable, *flags, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pyproject_version() -> str:
    match = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert match
    return match[1]


# ---- names


def test_all_is_what_the_design_promises():
    assert set(adainkit.__all__) == PROMISED | {"__version__"}
    assert set(errors.__all__) <= set(adainkit.__all__)
    assert set(adainkit.__all__) <= set(dir(adainkit))


@pytest.mark.parametrize("name", sorted(PROMISED - {"Progress"}))  # a type, which has no name of its own
def test_public_name_resolves_to_its_home(name: str):
    thing = getattr(adainkit, name)
    assert thing.__name__ == name
    assert thing.__module__.startswith("adainkit.")


def test_type_checkers_see_the_same_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert set(seen) == PROMISED
    for name, module in seen.items():
        assert getattr(importlib.import_module(f"adainkit.{module}"), name) is getattr(adainkit, name)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"adainkit.*no_such_name"):
        adainkit.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", sorted(PROMISED - {"Progress"}))
def test_public_name_is_documented(name: str):
    thing = getattr(adainkit, name)
    assert len(thing.__doc__ or "") > 20, f"{name} has no docstring"
    if not inspect.isclass(thing):
        return
    for member, value in vars(thing).items():
        if not member.startswith("_") and (callable(value) or isinstance(value, (property, classmethod, staticmethod))):
            assert inspect.getdoc(getattr(thing, member)), f"{name}.{member} has no docstring"


@pytest.mark.parametrize("module", MODULES)
def test_module_has_docstring_and_honest_all(module: str):
    loaded = importlib.import_module(f"adainkit.{module}")
    assert loaded.__doc__
    assert sorted(set(loaded.__all__)) == sorted(loaded.__all__), "a name stands twice"
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(f"adainkit.{module}")).failed == 0


# ---- cost of the import


def test_import_loads_nothing_but_the_standard_library():
    loaded = run_python(
        "import sys; before = set(sys.modules); import adainkit; dir(adainkit); adainkit.StyleError\n"
        "import json; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"adainkit"}
    assert foreign == set()
    assert "adainkit.stylizer" not in loaded


def test_help_of_the_command_needs_no_torch():
    heavy = run_python(
        "import contextlib, io, json, sys\n"
        "from adainkit.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print(json.dumps([name for name in ('torch', 'torchvision') if name in sys.modules]))"
    )
    assert heavy == []


# ---- metadata


def test_version_is_the_same_everywhere():
    version = pyproject_version()
    assert adainkit.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_bare_checkout_has_a_version_too(tmp_path: Path):
    (tmp_path / "adainkit").mkdir()
    for name in ("__init__.py", "moved.py"):
        shutil.copy(PACKAGE / name, tmp_path / "adainkit")
    code = f"import json, sys; sys.path.insert(0, {str(tmp_path)!r})\nimport adainkit\n"
    # -S leaves out site-packages, and with them the metadata of the installed package.
    assert run_python(code + "print(json.dumps(adainkit.__version__))", "-I", "-S") == "0+unknown"


# ---- the wheel


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    path = next(iter(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))
    with zipfile.ZipFile(path) as wheel:
        return wheel.namelist()


def test_wheel_holds_code_weights_presets_and_recipes(wheel_names: list[str]):
    names = set(wheel_names)
    expected = [PACKAGE / "py.typed", *PACKAGE.rglob("*.py"), *(ROOT / "training").glob("*.py")]
    for folder, pattern in (
        (PACKAGE / "weights", "*.safetensors"),
        (PACKAGE / "presets", "*"),
        (PACKAGE / "runtimes/browser/page", "*"),
        (PACKAGE / "runtimes/browser", "*.*"),
        (ROOT / "training/configs", "*.yaml"),
    ):
        found = list(folder.glob(pattern))
        assert found, f"nothing matches {folder.relative_to(ROOT)}/{pattern}"
        expected += found
    assert {path.relative_to(ROOT).as_posix() for path in expected} <= names


def test_wheel_holds_nothing_else(wheel_names: list[str]):
    assert {name.partition("/")[0] for name in wheel_names} == {
        "adainkit",
        "training",
        f"adainkit-{pyproject_version()}.dist-info",
    }
    pictures = ("adainkit/comfyui_pack/comfyui_nodes/web/docs/", "adainkit/runtimes/browser/page/icon-")
    others = [name for name in wheel_names if not name.startswith(pictures)]
    assert [name for name in others if name.endswith((".pth", ".pt", ".pyc", ".jpg", ".png"))] == []


# ---- what the files never say


def test_library_never_prints():
    calls = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name not in {"cli", "worker"}  # their standard output is their interface
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "exit", "quit"}
    ]
    assert calls == []


def test_tracked_files_name_no_path_of_a_machine():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    here = [re.escape(str(path)) + r"[/\\]" for path in (ROOT, Path.home()) if path != Path(path.anchor)]
    common = [r"(?<![\w}])/(?:home|root|Users)/\w", r"\b[A-Z]:\\Users\\"]
    pattern = re.compile("|".join([*here, *common]).encode())
    hits = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.suffix == ".safetensors" or path == Path(__file__) or not path.is_file():
            continue
        hits += [f"{name}: {match[0].decode(errors='replace')}" for match in pattern.finditer(path.read_bytes())]
    assert hits == []


def test_the_checkout_is_a_package_that_is_empty_where_no_comfyui_is() -> None:
    """pytest imports it under the name of the folder, whatever that is."""
    code = """if True:
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("clone", sys.argv[1], submodule_search_locations=[])
        module = importlib.util.module_from_spec(spec)
        sys.modules["clone"] = module
        spec.loader.exec_module(module)
        assert not hasattr(module, "comfy_entrypoint") and module.__package__ == "clone"
    """
    done = subprocess.run([sys.executable, "-c", code, str(ROOT / "__init__.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


_PRINT = "import adainkit; print(adainkit.styles.__module__)"


@pytest.mark.parametrize("command", [["-m", "adainkit", "--version"], ["-c", _PRINT]])
def test_above_a_clone_of_its_own_name_the_library_is_found(tmp_path: Path, command: list[str]) -> None:
    clone = tmp_path / "adainkit"
    clone.mkdir()
    (clone / "__init__.py").write_bytes((ROOT / "__init__.py").read_bytes())
    (clone / "adainkit").symlink_to(PACKAGE)
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "adainkit" in done.stdout
