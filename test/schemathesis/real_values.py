"""Schemathesis makes up values by their schemas: no made-up time is one of which anything is known. In every other
request those that mean something here are put in their place, so that answers with content are checked, too."""

import json
import os
import random

import schemathesis

values = json.loads(os.environ["ADCLICKS_VALUES"])


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return  # it is to be refused as it is
    chance = random.Random(repr((case.operation.label, case.path_parameters, case.query, case.body)))
    if chance.random() < 0.5:
        return
    for part in (case.path_parameters, case.query, *bodies(case.body)):
        put_values(part, case.operation.path, chance)


def bodies(body):
    return body if isinstance(body, list) else [body]


def put_values(part, path, chance):
    """In place, and only for what is there: what is left out stays so."""
    if not hasattr(part, "items"):
        return
    if "from" in part and "to" in part:
        part["from"], part["to"] = chance.choice(values["ranges"])
    for name, known in values["fields"].items():
        if name in part:
            part[name] = chance.choice(known)
    if "id" in part and path in values["ids"]:
        part["id"] = chance.choice(values["ids"][path])
