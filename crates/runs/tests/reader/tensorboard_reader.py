"""Reads a folder of event files with TensorBoard's own reader and prints what it found as JSON.

Made with tensorboard 2.21.0. Run: python tensorboard_reader.py FOLDER
"""

import json
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0, "images": 0})
events.Reload()
tags = events.Tags()


def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def number(value):
    """JSON has no NaN."""
    return value if value == value else None


print(
    json.dumps(
        {
            "scalars": {tag: [[e.wall_time, e.step, number(e.value)] for e in events.Scalars(tag)] for tag in tags["scalars"]},
            # The reader turns old-style summaries into the tensors that its plugins show.
            "texts": {
                tag: [value.tensor_proto.string_val[0].decode() for value in events.Tensors(tag)]
                for tag in tags["tensors"]
                if events.SummaryMetadata(tag).plugin_data.plugin_name == "text"
            },
            "images": {
                tag: [[e.step, e.width, e.height, *png_size(e.encoded_image_string)] for e in events.Images(tag)]
                for tag in tags["images"]
            },
        }
    )
)
