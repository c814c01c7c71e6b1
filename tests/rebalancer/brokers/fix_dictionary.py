"""The public FIX 4.4 dictionary as a judge of messages: fields, values, order of the header."""

import os
from pathlib import Path

from defusedxml import ElementTree

from tests.rebalancer.brokers.rigs import CHECKOUT

DATA = Path(os.environ.get("EVENKEEL_DATA_DIR", CHECKOUT.parent / "shared" / "data"))
DICTIONARY, SAMPLES = DATA / "formats" / "FIX44.xml", DATA / "formats" / "fix44_messages.txt"


class Dictionary:
    """What FIX44.xml says of each message."""

    def __init__(self, path):
        root = ElementTree.parse(path).getroot()
        self.fields = {field.get("name"): field for field in root.find("fields")}
        self.components = {part.get("name"): part for part in root.find("components")}
        self.messages = {message.get("msgtype"): message for message in root.find("messages")}
        self.header = self._tags(root.find("header"))
        self.trailer = self._tags(root.find("trailer"))
        self.values = {
            int(field.get("number")): {value.get("enum") for value in field}
            for field in root.find("fields")
            if len(field)
        }
        self.numbers = {name: int(field.get("number")) for name, field in self.fields.items()}

    def _tags(self, part, *, only_required=False):
        """Return the numbers of the fields that a part may have, or must have."""
        found = set()
        for child in part:
            if only_required and child.get("required") != "Y":
                continue
            if child.tag == "component":
                found |= self._tags(self.components[child.get("name")], only_required=only_required)
                continue
            found.add(int(self.fields[child.get("name")].get("number")))
            if child.tag == "group" and not only_required:
                found |= self._tags(child)
        return found

    def find_faults(self, message):
        """Return what is wrong with a message, written with `|` or SOH between its fields."""
        pairs = [
            (int(tag), value)
            for tag, _equals, value in (
                field.partition("=")
                for field in message.replace("|", "\x01").split("\x01")
                if field
            )
        ]
        tags = [tag for tag, _value in pairs]
        kind = dict(pairs)[35]
        if kind not in self.messages:
            return [f"no message {kind}"]
        allowed = self._tags(self.messages[kind]) | self.header | self.trailer
        faults = [f"{kind}: field {tag} does not belong" for tag in tags if tag not in allowed]
        missing = self._tags(self.messages[kind], only_required=True) - set(tags)
        faults += [f"{kind}: field {tag} is missing" for tag in sorted(missing)]
        for tag, value in pairs:
            if tag in self.values and value not in self.values[tag]:
                faults.append(f"{kind}: field {tag} cannot be {value!r}")
            if not value:
                faults.append(f"{kind}: field {tag} is empty")
        if tags[:3] != [8, 9, 35] or tags[-1] != 10:
            faults.append(f"{kind}: begins or ends with the wrong fields")
        body_at = next((i for i, tag in enumerate(tags) if tag not in self.header), len(tags))
        if any(tag in self.header for tag in tags[body_at:]):
            faults.append(f"{kind}: a field of the header stands in the body")
        return faults
