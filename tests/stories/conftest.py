"""The stories on real processes, with a node that is killed again and again."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.demo.stage import Absent
from detente.demo.story import Promised, Story, play
from detente.demo.telling import Teller

Played = Callable[..., list[Promised]]


@pytest.fixture
def played(tmp_path: Path) -> Played:
    """Play a story through; `killing` is a seed by which the node dies at random moments."""

    def run(
        kind: type[Story],
        *,
        killing: int | None = None,
        every: tuple[float, float] = (1.0, 5.0),
        **how: Any,
    ) -> list[Promised]:
        told, kills = io.StringIO(), 0

        async def saboteur(story: Story) -> None:
            nonlocal kills
            chance = random.Random(killing)
            while True:
                await asyncio.sleep(chance.uniform(*every))
                async with story.restarting:
                    await story.actors["node"].die()
                    kills += 1
                    await story.actors["node"].enter()

        async def through() -> list[Promised]:
            async with kind(tmp_path, Teller(told), **how) as story:
                return await play(story, saboteur=saboteur if killing is not None else None)

        try:
            table = asyncio.run(through())
        except Absent as absent:
            pytest.fail(f"{absent}\n{told.getvalue()}")
        assert killing is None or kills >= 3
        print(told.getvalue())  # shown when the test fails
        return table

    return run
