"""How does a program that speaks OpenFeature ask us? Wants `openfeature-sdk`.

Answers come from the client in this process. What the client hears becomes the SDK's events: ready,
changed, stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from detente.toggles.engine.ruleset import UNSET
from detente.toggles.engine.typed import fitting

if TYPE_CHECKING:
    from detente.toggles.engine.client import Client, State

Details = FlagResolutionDetails[Any]


class Provider(AbstractProvider):
    """One client's toggles for OpenFeature's SDK."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._before = client.state
        client.listen(self._heard)

    def get_metadata(self) -> Metadata:
        return Metadata(name="Détente")

    def _heard(self, state: State) -> None:
        before, self._before = self._before, state
        if not hasattr(self, "_on_emit"):
            return  # nobody has set this provider yet
        if state.stale and not before.stale:
            self.emit_provider_stale(ProviderEventDetails(message="the node does not answer"))
        if before.stale and not state.stale:
            self.emit_provider_ready(ProviderEventDetails())
        if before.version != state.version:
            self.emit_provider_configuration_changed(
                ProviderEventDetails(flags_changed=self._client.keys())
            )

    def _details(
        self, key: str, default: Any, said: EvaluationContext | None, kind: type
    ) -> Details:
        answer = self._client.answer(key, _context(said))
        answer.handed_out[0] += 1
        about: dict[str, Any] = {"flag_metadata": dict(answer.metadata)}
        if answer.error_code is not None:
            code = ErrorCode(answer.error_code)
            about |= {"error_code": code, "error_message": answer.error_details}
            return FlagResolutionDetails(default, reason="ERROR", **about)
        if answer.value is UNSET:
            return FlagResolutionDetails(default, reason=answer.reason, **about)
        value = fitting(answer.value, kind())
        if value is UNSET:
            told = f"{key} is {type(answer.value).__name__}, and {kind.__name__} was expected"
            about |= {"error_code": ErrorCode.TYPE_MISMATCH, "error_message": told}
            return FlagResolutionDetails(default, reason="ERROR", **about)
        return FlagResolutionDetails(value, reason=answer.reason, variant=answer.variant, **about)

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        return self._details(flag_key, default_value, evaluation_context, bool)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._details(flag_key, default_value, evaluation_context, str)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._details(flag_key, default_value, evaluation_context, int)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        return self._details(flag_key, default_value, evaluation_context, float)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        return self._details(flag_key, default_value, evaluation_context, dict)


def _context(said: EvaluationContext | None) -> dict[str, Any] | None:
    if said is None:
        return None
    return {**said.attributes, "targetingKey": said.targeting_key}
