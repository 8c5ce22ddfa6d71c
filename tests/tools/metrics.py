"""What memctld's metrics are: by docs/metrics.md, and as they come."""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `((?:memctl|process)_\w+)` \| (\w+) \|([^|]*)\| .+ \|$")
SAMPLE = re.compile(r"^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def documented():
    """{family: (type, labels)}"""
    families = {}
    for line in (SOURCE / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        if found := ROW.match(line):
            name, kind, labels = found.groups()
            assert name not in families, f"{name} is documented twice"
            families[name] = (kind, set(re.findall(r"`(\w+)`", labels.partition(":")[0])))
    return families


def parse(text):
    """Returns {family: type} and [(sample's name, labels, value)] of Prometheus' text format."""
    types, samples = {}, []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in types, line
            types[name] = kind
        elif line.startswith("# HELP "):
            assert len(line.split()) > 3, line
        else:
            found = SAMPLE.match(line)
            assert found, line
            samples.append((found[1], dict(LABEL.findall(found[2] or "")), float(found[3])))
    return types, samples


def family_of(sample, types):
    """The family of a sample; those of a histogram have further endings."""
    for end in ("", "_bucket", "_sum", "_count"):
        if sample.endswith(end) and sample[:len(sample) - len(end)] in types:
            return sample[:len(sample) - len(end)]
    raise AssertionError(f"{sample} belongs to no family")


def value(samples, name, **labels):
    """The one sample with this name and these labels, or None."""
    found = [number for sample, has, number in samples
             if sample == name and labels.items() <= has.items()]
    assert len(found) < 2, (name, labels, found)
    return found[0] if found else None
