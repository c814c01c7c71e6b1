"""The format of cases and answers as JSON Schema, made from the tables that cases are read by."""

from typing import Any

from rebalancer.engine.case.fields import (
    ACCOUNT,
    CAP,
    CASE,
    CASH_NEED,
    LOT,
    MODE,
    OPEN_ORDER,
    POLICY,
    RECENT_TRADE,
    SECURITY,
    TARGET_CLASS,
    TAX,
    WISH,
)
from rebalancer.engine.case.report import TERMS
from rebalancer.engine.case.rows import (
    REQUIRED,
    Choice,
    Day,
    Field,
    Flag,
    Number,
    Text,
    Whole,
    write_plain,
)

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
DECIMAL: Schema = {"type": "string", "format": "decimal"}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}


def describe_case() -> Schema:
    """Return the schema of a case."""
    targets = _object(
        {
            "cash": {**DECIMAL, "default": "0"},
            "securities": _map(DECIMAL),
            "classes": _map(
                {
                    "oneOf": [
                        DECIMAL,
                        _fields(TARGET_CLASS, members={"oneOf": [TEXTS, _map(DECIMAL)]}),
                    ]
                }
            ),
        }
    )
    caps = _list(_fields(CAP))
    account = _fields(
        ACCOUNT,
        cash_needs=_list(_fields(CASH_NEED)),
        lots=_list(_fields(LOT)),
        open_orders=_list(_fields(OPEN_ORDER)),
        targets={**targets, "nullable": True},
        policy={**_fields(POLICY, caps=caps), "nullable": True},
    )
    both = _object({"taxable": TEXTS, "sheltered": TEXTS})
    schema = _fields(
        CASE,
        accounts=_list(account),
        prices=_map(DECIMAL),
        securities=_list(_fields(SECURITY, themes=TEXTS, substitutes={"oneOf": [TEXTS, both]})),
        targets=targets,
        policy=_fields((*POLICY, MODE), caps=caps),
        tax=_fields(TAX),
        recent_trades=_list(_fields(RECENT_TRADE)),
        wishes=_list(_fields(WISH, accounts=TEXTS)),
        covariance=_object({"symbols": TEXTS, "matrix": _list(_list(DECIMAL))}),
        origin={"type": "object", "description": "anything; never read"},
    )
    schema["required"] = [
        *schema.get("required", []),
        *("accounts", "prices", "securities", "targets"),
    ]
    return schema


def describe_answers() -> Schema:
    """Return the schema of an answer."""
    lot = {"id": TEXT, **_decimals("quantity", "cost", "gain", "tax"), "is_long_term": FLAG}
    trade = {
        **_texts("account", "symbol", "side"),
        **_decimals("quantity", "price", "fill_price", "amount"),
        "reason": TEXT,
        "lots": _list(_object(lot)),
        **_decimals("tax", "cost", "drift_removed"),
        **_texts("rule", "next_best", "explanation"),
    }
    untraded = {
        **_texts("account", "symbol", "code"),
        **_decimals("amount", "saves", "costs"),
        "words": TEXT,
    }
    weights = _object(
        {
            **_decimals("value", "cash", "cash_weight"),
            "classes": _map(DECIMAL),
            "securities": _map(DECIMAL),
        }
    )
    standing = _object({"household": weights, "accounts": _map(weights)})
    terms = _object(_decimals(*TERMS, "total"))
    maybe = {**terms, "nullable": True}
    certificate = {
        **{"plan": terms, "nothing": terms, "buy_only": maybe, "naive": maybe},
        **{name: {**DECIMAL, "nullable": True} for name in ("bound", "gap", "gap_bps")},
        **_decimals("gain", "hurdle"),
        "is_worth_it": FLAG,
    }
    gains = ("short_term_gain", "long_term_gain", "short_term_tax", "long_term_tax", "total")
    answer = {
        **_texts("engine_version", "inputs_hash", "mode", "path", "path_reason"),
        "trades": _list(_object(trade)),
        "not_traded": _list(_object(untraded)),
        "before": standing,
        "after": standing,
        "tax": _object(_decimals(*gains)),
        "cost": DECIMAL,
        "certificate": _object(certificate),
        "cash_short": _map(DECIMAL),
        "notes": _map(TEXTS),
        "blocked": _map(TEXT),
        "conflict": TEXT,
    }
    return {**_object(answer), "required": list(answer)}


def _fields(specs: tuple[Field, ...], **more: Schema) -> Schema:
    properties = {spec.name: _describe_field(spec) for spec in specs}
    required = [spec.name for spec in specs if spec.default is REQUIRED]
    schema = _object({**properties, **more})
    # An empty list is not allowed there.
    return {**schema, "required": required} if required else schema


def _describe_field(spec: Field) -> Schema:
    schema: Schema = {**_describe_kind(spec.kind), "description": spec.words}
    if spec.may_be_null or spec.default is None:
        schema["nullable"] = True
    if spec.default is not REQUIRED and spec.default is not None:
        schema["default"] = write_plain(spec.default)
    return schema


def _describe_kind(kind: Any) -> Schema:
    match kind:
        case Number():
            return DECIMAL
        case Whole():
            return {"type": "integer", "minimum": kind.low, "maximum": kind.high}
        case Text():
            return {"type": "string", "maxLength": kind.length_max}
        case Choice():
            return {"type": "string", "enum": [code.value for code in kind.codes]}
        case Flag():
            return FLAG
        case Day():
            return {"type": "string", "format": "date"}
    raise ValueError(f"no schema for {kind!r}")


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _map(items: Schema) -> Schema:
    return {"type": "object", "additionalProperties": items}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _decimals(*names: str) -> Schema:
    return dict.fromkeys(names, DECIMAL)


def _texts(*names: str) -> Schema:
    return dict.fromkeys(names, TEXT)
