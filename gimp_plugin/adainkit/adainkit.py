#!/usr/bin/env python3
"""Filters > Artistic > AdaIN Style Transfer: a layer in the style of a painting, another layer or a preset.

GIMP's own Python has no torch: the work is done by AdaINKit's worker, which `adainkit gimp install` made known here.
"""

import sys
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp, GLib, GObject  # noqa: E402

FOLDER = Path(__file__).absolute().parent
sys.path.insert(0, str(FOLDER))
import layers  # noqa: E402
import painting  # noqa: E402
from worker_link import CONFIG, Failure, Worker, read_json  # noqa: E402

PROCEDURE = "adainkit-stylize"
FLAGS = GObject.ParamFlags.READWRITE


class AdaINKit(Gimp.PlugIn):
    """The plug-in: one procedure, for people and for scripts."""

    def do_query_procedures(self):
        """The procedures' names."""
        return [PROCEDURE]

    def do_set_i18n(self, name):
        """No translations are shipped."""
        return False

    def do_create_procedure(self, name):
        """The procedure, its place in the menu and its arguments."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("AdaIN Style _Transfer...")
        procedure.add_menu_path("<Image>/Filters/Artistic")
        procedure.set_documentation(
            "Paint a layer in the style of a picture",
            "Takes colors and brush from a preset, a picture file or another layer, by adaptive instance "
            "normalization. Everything is computed on this machine.",
            None,
        )
        procedure.set_attribution("AdaINKit contributors", "AdaINKit contributors", "2026")
        _add_arguments(procedure)
        return procedure


def presets():
    """Name, title and description of each."""
    config = read_json(FOLDER / CONFIG) or {}  # where it is missing, running says so
    return [(p["name"], p["name"].replace("-", " ").capitalize(), p["description"]) for p in config.get("presets", [])]


def _add_arguments(procedure):
    # Mnemonics: one each, none of the dialog's own buttons (C, L, O, R, S).
    config = read_json(FOLDER / CONFIG) or {}
    known = presets() or [("none", "None is installed", "")]
    models = [(name, name, "") for name in config.get("models", [])] or [("lite", "lite", "")]
    sources = [("preset", "Preset", ""), ("file", "Picture file", ""), ("layer", "Open layer", "")]
    file, layer, choice, number = _adders(procedure)
    choice("style-from", "_From", "Where the style comes from", sources)
    choice("preset", "_Preset", "A style that comes with AdaINKit", known)
    file("style-file", "Pict_ure", "A painting, or a style that AdaINKit saved")
    layer("style-layer", "La_yer", "A layer of any open image")
    choice("second-from", "Mi_x with", "A second style", [("none", "Nothing", ""), *sources])
    choice("second-preset", "Secon_d preset", "The second style", known, default=known[-1][0])
    file("second-file", "Seco_nd picture", "The second style")
    layer("second-layer", "S_econd layer", "The second style")
    number("mix", "S_hare of the second", "0: the first style alone; 1: the second alone", 0, 1, 0.5)
    number("strength", "Stren_gth", "0: the picture; 1: the style", 0, 1, 1)
    number("stroke-scale", "Stroke si_ze", "How many times as bold the strokes are", 1, 8, 1)
    number("detail", "Det_ail", "How much of the fine structure of the picture comes back", 0, 1, 0)
    colors = [
        ("none", "No", "The painting takes the palette of the style"),
        ("luma", "Hues", "The hues of the picture, the brightness of the style"),
        ("match", "Palette", "The style, recolored in the palette of the picture"),
    ]
    choice("keep-colors", "_Keep colors", "Whether the picture's own colors are kept", colors)
    told = "How far colors come to those, the style's or the picture's; 0: as the network paints them"
    number("color-strength", "Ho_w far", told, 0, 1, 1)
    results = [("layer", "New layer", "Above the layer; the selection becomes its mask")]
    results += [("in-place", "In place", "The pixels of the layer are replaced")]
    choice("result", "Resul_t", "Where the result goes", results)
    told = "A gray image becomes one of colors, so that those of the style are seen"
    procedure.add_boolean_argument("to-color", "Make the gray image RG_B", told, False, FLAGS)
    choice("model", "_Model", "The network; lite is the default", [*models, ("file", "Model file", "")])
    file("model-file", "Model f_ile", "A model of your own, made by `adainkit train`")
    procedure.add_layer_return_value("layer", "Layer", "The stylized layer", True, FLAGS)


def _adders(procedure):
    def file(name, nick, blurb):
        procedure.add_file_argument(name, nick, blurb, Gimp.FileChooserAction.OPEN, True, None, FLAGS)

    def layer(name, nick, blurb):
        procedure.add_drawable_argument(name, nick, blurb, True, FLAGS)

    def choice(name, nick, blurb, values, default=None):
        known = Gimp.Choice.new()
        for index, (value, label, text) in enumerate(values):
            known.add(value, index, label, text)
        procedure.add_choice_argument(name, nick, blurb, known, default or values[0][0], FLAGS)

    def number(name, nick, blurb, low, high, default):
        procedure.add_double_argument(name, nick, blurb, low, high, default, FLAGS)

    return file, layer, choice, number


def run(procedure, run_mode, image, drawables, config, data):
    """GIMP calls this. Whatever happens, the user reads a sentence and no stack trace."""
    try:
        Gegl.init(None)
        made = _run(procedure, run_mode, image, drawables, config)
    except Failure as failure:
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, GLib.Error(str(failure)))
    except Exception as error:
        text = f"AdaINKit has a fault ({type(error).__name__}: {error}). Please report it."
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, GLib.Error(text))
    if made is None:
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    values = procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    values.remove(1)
    values.insert(1, GObject.Value(Gimp.Layer.__gtype__, made))
    return values


def _run(procedure, run_mode, image, drawables, config):
    """The layer with the result, None if the user canceled. `Failure` with the remedy."""
    worker = Worker(FOLDER)
    if len(drawables) != 1:
        raise Failure("layer", f"Select one layer; {len(drawables) or 'none'} are selected.")
    (layer,) = drawables
    _check(image, layer, in_place=False)
    if run_mode == Gimp.RunMode.INTERACTIVE:
        from dialog import ask

        if not ask(procedure, config, painting.Preview(worker, layers.Source(image, layer)), presets()):
            return None
    in_place = config.get_property("result") == "in-place"
    _check(image, layer, in_place)
    source = layers.Source(image, layer)  # while the dialog is open, image and selection may change
    options = painting.read_options(config)
    styles = painting.read_styles(config, run_mode == Gimp.RunMode.NONINTERACTIVE)
    made = painting.stylize(worker, source, in_place, options, styles, config.get_property("to-color"))
    Gimp.displays_flush()
    return made


def _check(image, drawable, in_place):
    problem = layers.problem(image, drawable, in_place)
    if problem:
        raise Failure("layer", problem)


Gimp.main(AdaINKit.__gtype__, sys.argv)
