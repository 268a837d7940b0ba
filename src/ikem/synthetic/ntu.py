"""Made recordings as NTU RGB+D hands them out: a zip of `.skeleton` text files, and a missing list."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ikem.data.clips import NONE_MISSING
from ikem.files import atomic, write_text
from ikem.synthetic.kinematics import JOINT_COUNT, JOINTS, SKELETON
from ikem.synthetic.number_writer import format_clip
from ikem.synthetic.scene import CAMERA, SENSOR, Clip, list_clips, random_for, stage_clip
from ikem.synthetic.sensor import MICRO, Recording, draw_camera, sense
from ikem.synthetic.settings import SyntheticSettings

FOLDER = "nturgb+d_skeletons/"  # inside the zip, as the real archives have it
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal settings give equal bytes

# Decimals of: x y z, depth x y, color x y, orientation w x y z, tracking state.
_JOINT_DECIMALS = np.array([6, 6, 6, 4, 4, 3, 3, 7, 7, 7, 7, 0])
# Decimals of: body id, clipped edges, left hand confidence and state, right hand's, restricted, lean x y, state.
_HEAD_DECIMALS = np.array([0, 0, 0, 0, 0, 0, 0, 7, 7, 0])
# Kinect v2's depth and color images, pixels: focal length and center.
_DEPTH = (365.5, 256.0, 208.0)
_COLOUR = (1081.0, 974.0, 568.0)
_PARENTS = np.array(SKELETON.parents)
_LEAVES = np.setdiff1d(np.arange(JOINT_COUNT), [parent for joint, parent in enumerate(_PARENTS) if parent != joint])


def record_clip(settings: SyntheticSettings, clip: Clip) -> Recording | None:
    """What one camera records of one performance; None where it finds no body at all.

    Only the settings that shape a performance and the clip's own numbers matter: neither which other clips
    there are, nor how many.
    """
    random = random_for(settings, SENSOR, *clip)
    if random.random() < settings.missing_rate:
        return None
    camera = draw_camera(settings, clip.camera, random_for(settings, CAMERA, clip.setup, clip.camera))
    return sense(settings, camera, stage_clip(settings, clip), random)


def clips(settings: SyntheticSettings) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The clips without the text: name and (T, 2, 25, 3) meters, as a reader of the archive gets them.

    Those on the missing list are left out.
    """
    for clip in list_clips(settings):
        recording = record_clip(settings, clip)
        if recording is not None:
            yield clip.name, recording.first_two()


def clip_text(recording: Recording) -> bytes:
    """The content of a `.skeleton` file."""
    meters = recording.joints / MICRO
    bodies, frames = meters.shape[:2]
    fields = np.empty((*meters.shape[:3], 12), dtype=np.int64)
    fields[..., :3] = recording.joints
    slope = meters[..., :2] / np.maximum(meters[..., 2:], 0.5)
    for column, decimals, (focus, right, down) in ((3, 4, _DEPTH), (5, 3, _COLOUR)):
        fields[..., column] = np.rint((right + focus * slope[..., 0]) * 10**decimals)
        fields[..., column + 1] = np.rint((down - focus * slope[..., 1]) * 10**decimals)
    fields[..., 7:11] = np.rint(_orientations(meters) * 10**7)
    fields[..., 11] = recording.tracking
    heads = np.zeros((bodies, frames, 10), dtype=np.int64)
    heads[..., 0] = recording.body_ids[:, None]
    heads[..., 2:6] = 1
    trunk = meters[:, :, JOINTS["spine"]] - meters[:, :, JOINTS["base_of_spine"]]
    heads[..., 7:9] = np.rint(np.clip(trunk[..., [0, 2]] * 2.0, -1.0, 1.0) * 10**7)
    heads[..., 9] = 2
    return format_clip(recording.listed(), heads, _HEAD_DECIMALS, fields, _JOINT_DECIMALS)


def _orientations(meters: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 25, 4) w x y z of the shortest turn from upright to each bone; zero for the ends of limbs."""
    bones = meters - meters[..., _PARENTS, :]
    bones /= np.maximum(np.sqrt(np.einsum("...i,...i", bones, bones)), 1e-9)[..., None]
    turns = np.zeros((*bones.shape[:-1], 4))
    turns[..., 0] = np.sqrt(np.maximum((1.0 + bones[..., 1]) / 2.0, 1e-9))
    turns[..., 1] = bones[..., 2] / (2.0 * turns[..., 0])
    turns[..., 3] = -bones[..., 0] / (2.0 * turns[..., 0])
    turns[..., _LEAVES, :] = 0.0
    turns[..., SKELETON.center, :] = (1.0, 0.0, 0.0, 0.0)  # it has no bone of its own
    return turns


def empty_text(frames: int) -> bytes:
    """A `.skeleton` file in which no frame has a body."""
    return b"%d\n" % frames + b"0\n" * frames


def write_ntu(settings: SyntheticSettings, archive: Path, missing_list: Path) -> None:
    """Write the zip and, in the official format, the list of the clips that have no body.

    Memory does not grow with the number of clips. Equal settings give equal bytes.

    Raises:
        InputError: a file cannot be written.
    """
    missing: list[str] = []
    method = zipfile.ZIP_DEFLATED if settings.compression else zipfile.ZIP_STORED
    with (
        atomic(archive) as temporary,
        zipfile.ZipFile(temporary, "w", method, compresslevel=settings.compression or None) as target,
    ):
        for clip in track(list_clips(settings), f"Writing {archive.name}", total=settings.clip_count):
            recording = record_clip(settings, clip)
            if recording is None:
                missing.append(clip.name)
            text = empty_text(settings.frames[0]) if recording is None else clip_text(recording)
            member = zipfile.ZipInfo(f"{FOLDER}{clip.name}.skeleton", _FIXED_TIME)
            member.compress_type = method
            member.external_attr = 0o644 << 16
            target.writestr(member, text, compresslevel=settings.compression or None)
    header = ("Samples with missing skeletons", f"{len(missing)} of {settings.clip_count} made clips", "")
    write_text(missing_list, "\n".join((*header, *(missing or [NONE_MISSING]))) + "\n")
