"""The part of `watch` that reaches outside: asks, listens to other places, judges, files, forgets."""

from detente.kernel.slice import Effect
from detente.watch.effects.house import keep_house
from detente.watch.effects.places import ENDPOINTS, has_places, listen_for_silence
from detente.watch.effects.watcher import Prober, Watcher, has_checks, watch

EFFECTS = (
    Effect("watch", watch, wanted=has_checks),
    Effect("watch: places", listen_for_silence, wanted=has_places),
    Effect("watch: keeping house", keep_house),
)

__all__ = ["EFFECTS", "ENDPOINTS", "Prober", "Watcher"]
