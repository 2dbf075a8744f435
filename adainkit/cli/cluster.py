"""`adainkit cluster`: what `adainkit stylize` does with folders and data sets, on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch.chosen import ChosenStyles
from ..batch.manifest import Manifest
from ..batch.random_styles import RandomStyles
from ..distributed.begun import Begun
from ..distributed.places import absolute, is_uri
from ..distributed.tasks import Listings, Task, UriStyles, plan_tasks
from .console import check_styles
from .pipes import Pipes
from .stylize import Compute, facts_of, options_of, record_of_run, report, styles_of

if TYPE_CHECKING:
    from ..batch.pipeline import Outcome
    from ..distributed.spec import Spec
    from ..errors import Progress

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Do as `args` say: 0, or 1 if a picture failed."""
    with Pipes(args) as args.pipes:  # which are none: a cluster works on files
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    if args.manifest is None or args.output is None:
        args.usage_error("--manifest FILE and -o OUT are needed: by them a run goes on after a stop")
    if is_uri(args.manifest):
        args.usage_error("--manifest must be a local file: a line is added to it for each picture")
    styles = styles_of(args, _random_styles)
    check_styles((name for name in styles.fixed if not is_uri(name)), args.model)
    facts = facts_of(args, styles)
    if args.to in ("tar", "parquet"):
        facts["options"] |= {"to": args.to, "shard_size": args.shard_size}
    listings, begun = Listings(), Begun(args.manifest)
    for place in (*args.pictures, args.output):
        if is_uri(place):
            listings.of(place)
    manifest = Manifest(args.manifest, facts, listings.is_newer)
    tasks = _tasks(args, styles, manifest, listings, begun)
    return report(tasks, lambda: _cluster(args, styles, begun, tasks), styles, manifest, args)


def _random_styles(place: str, seed: int, count: int) -> RandomStyles:
    return UriStyles(place, seed, count) if is_uri(place) else RandomStyles(place, seed, count)


def _tasks(
    args: argparse.Namespace, styles: ChosenStyles, manifest: Manifest, listings: Listings, begun: Begun
) -> list[Task]:
    chosen: dict[str, Any] = {} if styles.random is None else {"styles_of": styles.random.of}
    try:
        return plan_tasks(
            args.pictures,
            args.output,
            listings=listings,
            to=args.to,
            shard_size=args.shard_size,
            format=args.format,
            overwrite=args.overwrite,
            protected=[*styles.inputs, *filter(None, (args.mask, args.manifest))],
            is_done=manifest.is_done,
            is_ours=begun.is_ours,
            **chosen,
        )
    except ValueError as error:
        args.usage_error(str(error))
        raise  # it has not come so far


@contextmanager
def _cluster(args: argparse.Namespace, styles: ChosenStyles, begun: Begun, tasks: Sequence[Task]) -> Iterator[Compute]:
    """What does tasks on the cluster."""
    from ..distributed.driver import Resources, connected, run_tasks, sweep_all

    resources = Resources(
        actors=args.actors,
        cpus=args.cpus_per_actor,
        gpus=args.gpus_per_actor,
        memory=args.memory_per_actor,
        window=args.window,
        wait=args.wait,
    )
    spec = _spec(args, styles)
    with connected(args.address) as ray:

        def compute(
            left: Sequence[Task], ended: Callable[[Outcome[Task]], object], progress: Progress
        ) -> Generator[Outcome[Task], None, None]:
            sweep_all({str(task.target) for task in left if task.target and begun.is_ours(task.target)})
            yield from run_tasks(ray, left, spec, resources, ended=ended, begun=begun.add)
            begun.close(ended=True)

        try:
            yield compute
        finally:
            begun.close(ended=False)


def _spec(args: argparse.Namespace, styles: ChosenStyles) -> Spec:
    """What the actors are told, with names that mean the same on all machines."""
    from ..distributed.driver import sendable_style
    from ..distributed.spec import Spec

    options = options_of(args) | {"mask": args.mask and absolute(args.mask)}
    options = {name: value for name, value in options.items() if name not in ("overwrite", "max_pixels")}
    random = styles.random
    if random is not None and not isinstance(random, UriStyles):
        random = RandomStyles(absolute(str(random.folder)), random.seed, random.count)
    sent = replace(
        styles,
        blend={sendable_style(name): weight for name, weight in styles.blend.items()},
        regions=[(absolute(mask), sendable_style(style)) for mask, style in styles.regions],
        random=random,
    )
    return Spec(
        styles=sent,
        model=absolute(args.model) if Path(args.model).is_file() else args.model,
        device=args.device,
        dtype=args.dtype,
        # OpenVINO compiles sizes as they come, and rounds another way before: bytes would depend on who did what
        runtime="torch" if args.runtime == "auto" else args.runtime,
        style_size=args.style_size,
        max_pixels=args.max_pixels,
        options=options,
        record=None if args.no_record else record_of_run(args),
        threads=max(1, int(args.cpus_per_actor)),
        batch=args.batch,
        memory=args.memory_per_actor,
    )
