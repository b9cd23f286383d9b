"""What the winner costs: size, arithmetic, speed."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kt_tuning.evaluation import Cost, training_speed
from kt_tuning.report.formatting import byte_size, large_number, milliseconds
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import not_measured, pairs, section


def cost_section(run: RunSummary) -> Element | None:
    """Return size, arithmetic and speed, as far as they were measured; None before evaluation."""
    scores = run.scores
    if scores is None:
        return None
    cost = scores.cost
    rows = {}
    if scores.parameters is not None:
        rows["Parameters"] = f"{scores.parameters:,}"
    if cost is not None:
        rows["Weights in memory"] = byte_size(cost.weight_bytes)
        if cost.multiply_adds is not None and cost.flops is not None:
            rows["Multiply-adds an image"] = large_number(cost.multiply_adds)
            rows["Floating-point operations an image"] = large_number(cost.flops)
    if run.export is not None and run.export_bytes is not None:
        rows[f"Files of export {run.export}"] = byte_size(run.export_bytes)
    latency = scores.latency_ms if cost is None else cost.latency_ms
    rows |= {f"Latency of one image, {name}": milliseconds(ms) for name, ms in latency.items()}
    if cost is not None:
        best = cost.throughput
        rows[f"Throughput, in batches of {best.batch_size}"] = (
            f"{large_number(best.images_per_second)} images/s"
        )
    speed = None
    if run.data is not None:
        records = [trial.record for trial in run.trials]
        speed = training_speed(records, run.data, run.search)
    if speed is not None:
        rows["Training, the median trial"] = f"{large_number(speed)} images/s"
    blocks = [pairs(["Size and speed", "Value"], rows)]
    if cost is None:
        blocks.append(not_measured("Arithmetic and throughput are"))
    else:
        blocks.append(_throughput(cost))
    return section(
        "cost",
        "Cost",
        element("p", "Measured on the machine that evaluated, as loaded as it was."),
        element("div", *blocks, class_="split"),
    )


def _throughput(cost: Cost) -> Element:
    rows = [
        element(
            "tr",
            cell(f"{size:,}", class_="number"),
            cell(f"{rate:,.0f}", class_="number"),
            class_="chosen" if size == cost.throughput.batch_size else "",
        )
        for size, rate in cost.throughput.by_batch_size.items()
    ]
    return table(["Batch", "Images/s"], rows)
