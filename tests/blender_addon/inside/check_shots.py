# SPDX-License-Identifier: Apache-2.0
"""Moving cameras: image sequences, movies and clips whose cameras Blender's own solver has found."""

import json
import math

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector

W, H = 320, 240


def animated_camera(name="drone", frames=12):
    """A camera that flies along a line while its lens gets longer."""
    data = bpy.data.cameras.new(name)
    camera = bpy.data.objects.new(name, data)
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    camera.rotation_euler = (1.3, 0.1, 0.0)
    for frame in (1, frames):
        camera.location, data.lens = (frame / 10, -5.0, 1.0), 30.0 + frame
        camera.keyframe_insert("location", frame=frame)
        data.keyframe_insert("lens", frame=frame)
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.resolution_x, scene.render.resolution_y = W, H
    scene.frame_set(1)
    return camera


def checkers(level, blurred):
    """[H, W, 4]: fine squares, of one grey if blurred; its mean tells `level`."""
    rgba = np.ones((H, W, 4), np.float32)
    fine = (np.indices((H, W)).sum(0) // 4 % 2) * (0.0 if blurred else 0.1)
    rgba[..., :3] = (level + fine)[..., None]
    return rgba


def save(path, rgba):
    image = bpy.data.images.new("picture", rgba.shape[1], rgba.shape[0])
    image.pixels.foreach_set(np.ascontiguousarray(rgba, np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


@pytest.fixture
def sequence(tmp_path):
    """Files shot_0101.png to shot_0112.png; every third is sharp."""
    folder = tmp_path / "sequence"
    folder.mkdir()
    return [save(folder / f"shot_{100 + i:04d}.png", checkers(i / 20, i % 3 != 2)) for i in range(1, 13)]


def behind(camera, path, source, first=1, duration=12, offset=100):
    image = bpy.data.images.load(str(path))
    image.source = source
    camera.data.show_background_images = True
    background = camera.data.background_images.new()
    background.image, user = image, background.image_user
    user.frame_start, user.frame_duration, user.frame_offset = first, duration, offset
    return background


def movie_of(pictures, path):
    """A movie made by Blender's own sequencer."""
    scene = bpy.data.scenes.new("movie")
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    for number, picture in enumerate(pictures, 1):
        strips.new_image(name=str(number), filepath=str(picture), channel=1, frame_start=number)
    scene.view_settings.view_transform = "Standard"
    render = scene.render
    render.resolution_x, render.resolution_y, render.use_file_extension = W, H, False
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec, render.ffmpeg.constant_rate_factor = "MPEG4", "H264", "LOSSLESS"
    scene.frame_start, scene.frame_end, render.filepath = 1, len(pictures), str(path)
    bpy.ops.render.render(animation=True, scene=scene.name)
    bpy.data.scenes.remove(scene)
    return path


def taken(milo, camera):
    """[(frame, PhotoCamera)] of the still cameras."""
    cameras = milo("scene.cameras")
    made = cameras.photo_cameras(bpy.context.scene, camera.milo.taken)
    return [(int(obj.name.split()[-1]), photo)
            for obj, photo in zip(cameras.cameras_with_photo(bpy.context.scene, camera.milo.taken), made)]


def level_of(source):
    image = bpy.data.images.load(str(source))
    pixels = np.array(image.pixels).reshape(-1, 4)[:, :3]
    bpy.data.images.remove(image)
    return pixels.mean()


def check_poses(milo, camera, stills):
    """Each still sees what the moving camera sees at that frame, with its lens of then."""
    cameras, scene = milo("scene.cameras"), bpy.context.scene
    for frame, photo in stills:
        scene.frame_set(frame)
        assert np.allclose(photo.viewmat, cameras.viewmat_of(camera), atol=1e-5)
        assert np.allclose(photo.K, cameras.intrinsics(camera.data, W, H), atol=1e-3)
        assert (photo.width, photo.height) == (W, H)


def test_the_sharpest_frames_of_a_sequence(session, milo, sequence):
    camera, scene = animated_camera(), bpy.context.scene
    behind(camera, sequence[0], "SEQUENCE")
    scene.milo.source = "CAMERAS"
    with pytest.raises(RuntimeError, match="Take frames of the moving camera first"):
        bpy.ops.milo.reconstruct()
    scene.milo.frames.count = 4
    scene.frame_set(5)
    assert bpy.ops.milo.take_frames() == {"FINISHED"} and scene.frame_current == 5
    stills = taken(milo, camera)
    assert [frame for frame, _ in stills] == [2, 5, 8, 11]                # the sharp ones, and their own files
    assert [photo.source for _, photo in stills] == [sequence[frame - 1] for frame, _ in stills]
    check_poses(milo, camera, stills)

    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished", 30), session.trouble
    start = next(text for kind, text in map(json.loads, (session.backend.home / "asked.jsonl").open())
                 if kind == "StartJob")
    assert start.count("SceneCamera(") == 4

    before = {obj.name for obj in bpy.data.objects}
    scene.milo.frames.choice, scene.milo.frames.step = "EVERY", 6        # once more: the others go
    bpy.ops.milo.take_frames()
    assert [frame for frame, _ in taken(milo, camera)] == [1, 7]
    assert len(before - {obj.name for obj in bpy.data.objects}) == 4 and len(bpy.data.scenes) == 1


def test_where_a_sequence_begins(milo, sequence, tmp_path):
    camera = animated_camera()
    behind(camera, sequence[3], "SEQUENCE", first=4, duration=6, offset=102)
    bpy.context.scene.milo.frames.choice, bpy.context.scene.milo.frames.step = "EVERY", 1
    bpy.ops.milo.take_frames()
    stills = taken(milo, camera)
    assert [frame for frame, _ in stills] == [4, 5, 6, 7, 8, 9]
    for frame, photo in stills:
        shown = frame - 4 + 1 + 102                                        # of Blender's manual: the first is 1
        assert photo.source.name == f"shot_{shown:04d}.png"
    # and as Blender itself draws it
    shots, writer = milo("scene.shots"), milo("scene.frame_writer")
    shot = shots.shot_of(camera, bpy.context.scene)
    with writer.FrameWriter(shot, tmp_path) as write:
        for frame, photo in stills[::2]:
            assert level_of(write.write(frame)) == pytest.approx(level_of(photo.source), abs=1e-3)
            assert level_of(photo.source) == pytest.approx(level_of(sequence[frame - 2]), abs=1e-6)


def test_frames_of_a_movie(milo, sequence, tmp_path):
    camera = animated_camera()
    behind(camera, movie_of(sequence, tmp_path / "flight.mp4"), "MOVIE", offset=0)
    bpy.context.scene.milo.frames.count = 4
    assert bpy.ops.milo.take_frames() == {"FINISHED"}
    stills = taken(milo, camera)
    assert [frame for frame, _ in stills] == [2, 5, 8, 11]
    check_poses(milo, camera, stills)
    for frame, photo in stills:
        assert level_of(photo.source) == pytest.approx(level_of(sequence[frame - 1]), abs=0.015)
    files = list((stills[0][1].source.parent).iterdir())
    assert len(files) == 4 and len(bpy.data.scenes) == 1                   # the blurred ones are not kept


def test_giving_up_changes_nothing(milo, sequence, tmp_path):
    camera, scene = animated_camera(), bpy.context.scene
    behind(camera, movie_of(sequence, tmp_path / "flight.mp4"), "MOVIE", offset=0)
    frames = milo("scene.taken").take(scene, milo("scene.shots").shot_of(camera, scene), tmp_path / "frames")
    assert next(frames) == (1, 12) and next(frames) == (2, 12) and len(list((tmp_path / "frames").iterdir())) == 2
    frames.close()
    assert not (tmp_path / "frames").exists() and len(bpy.data.scenes) == 1
    assert camera.milo.taken is None and len(bpy.data.cameras) == 1


# -- a clip that Blender solves ------------------------------------------------------------------------------------

FOCAL, CENTRE, FRAMES = 300.0, (W / 2 + 6.0, H / 2 - 5.0), 10
POINTS = np.random.default_rng(4).uniform((-1.6, -1.2, -1.0), (1.6, 1.2, 1.0), (24, 3))


def viewmat(frame):
    """A walk around the points."""
    turn = Matrix.Rotation(math.radians(5.0 * frame - 25), 4, "Y")
    world = turn @ Matrix.Translation((0.02 * frame, 0.05 * math.sin(frame), 5.0))
    return np.diag([1.0, -1.0, -1.0, 1.0]) @ np.array(world.inverted())


def distorted(frame, k1):
    """Where the points lie in a frame [P, 2], pixels from the top left."""
    seen = POINTS @ viewmat(frame)[:3, :3].T + viewmat(frame)[:3, 3]
    x, y = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
    stretch = 1 + k1 * (x * x + y * y)
    return np.stack([FOCAL * x * stretch + CENTRE[0], FOCAL * y * stretch + CENTRE[1]], 1)


def draw_dots(at):
    """[H, W, 4] with the lowest row first: a bright dot of 3 pixels at each point."""
    grid = np.stack(np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5), -1)
    light = np.zeros((H, W))
    for point in at:
        light = np.maximum(light, np.exp(-((grid - point) ** 2).sum(-1) / (2 * 1.5**2)))
    rgba = np.ones((H, W, 4), np.float32)
    rgba[..., :3] = light[::-1, :, None]
    return rgba


@pytest.fixture
def solved_clip(milo, tmp_path):
    """make(k1) -> (camera, clip): dots that a distorting lens saw, tracked, and the camera solved by Blender."""
    def make(k1, first=1):
        folder = tmp_path / "clip"
        folder.mkdir()
        for frame in range(1, FRAMES + 1):
            save(folder / f"clip_{frame:03d}.png", draw_dots(distorted(frame, k1)))
        clip = bpy.data.movieclips.load(str(folder / "clip_001.png"))
        clip.frame_start = first
        lens = clip.tracking.camera
        lens.sensor_width, lens.pixel_aspect, lens.distortion_model = 36.0, 1.0, "POLYNOMIAL"
        lens.units, lens.focal_length_pixels = "PIXELS", FOCAL
        lens.principal_point_pixels = CENTRE[0], H - CENTRE[1]
        lens.k1 = k1
        for point in range(len(POINTS)):
            track = clip.tracking.tracks.new(name=f"dot {point}", frame=1)
            for frame in range(1, FRAMES + 1):
                x, y = distorted(frame, k1)[point]
                track.markers.insert_frame(frame, co=(x / W, 1 - y / H))
        clip.tracking.settings.use_keyframe_selection = False
        clip.tracking.objects[0].keyframe_a, clip.tracking.objects[0].keyframe_b = 1, FRAMES
        window = bpy.context.window_manager.windows[0]
        area = window.screen.areas[0]
        area.type = "CLIP_EDITOR"
        area.spaces.active.clip = clip
        region = next(region for region in area.regions if region.type == "WINDOW")
        with bpy.context.temp_override(window=window, area=area, region=region):
            bpy.ops.clip.solve_camera()
        assert clip.tracking.reconstruction.is_valid and clip.tracking.reconstruction.average_error < 0.5

        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 1, FRAMES + 5
        camera = bpy.data.objects.new("tracked", bpy.data.cameras.new("tracked"))
        scene.collection.objects.link(camera)
        scene.camera, scene.active_clip = camera, clip
        camera.constraints.new("CAMERA_SOLVER").use_active_clip = True
        camera.data.show_background_images = True
        background = camera.data.background_images.new()
        background.source, background.clip = "MOVIE_CLIP", clip
        scene.milo.frames.choice, scene.milo.frames.step = "EVERY", 3
        return camera, clip
    return make


@pytest.mark.parametrize(("k1", "first"), [(0.0, 1), (0.12, 3), (-0.15, 1)], ids=["straight", "pincushion", "barrel"])
def test_a_solved_clip(milo, solved_clip, k1, first):
    """The solved points, seen by the still cameras, lie on the dots of their undistorted pictures."""
    camera, clip = solved_clip(k1, first)
    assert bpy.ops.milo.take_frames() == {"FINISHED"}
    stills = taken(milo, camera)
    assert [frame for frame, _ in stills] == list(range(first, first + FRAMES, 3))
    assert len(bpy.data.movieclips) == 1 and len(bpy.data.scenes) == 1
    bundles = np.array([Vector(track.bundle) for track in clip.tracking.tracks if track.has_bundle])
    assert len(bundles) >= 20
    for _, photo in stills:
        seen = bundles @ photo.viewmat[:3, :3].T + photo.viewmat[:3, 3]
        at = (photo.K @ seen.T).T
        at = at[:, :2] / at[:, 2:]
        image = bpy.data.images.load(str(photo.source))
        assert tuple(image.size) == (photo.width, photo.height)
        rgba = np.array(image.pixels).reshape(photo.height, photo.width, 4)[::-1]
        inside = ((at > 3) & (at < (photo.width - 3, photo.height - 3))).all(1)
        assert inside.mean() > 0.8 and rgba[..., 3].min() > 0.99
        columns, rows = at[inside].astype(int).T
        assert np.median(rgba[rows, columns, 0]) > 0.8, (k1, rgba[rows, columns, 0])
    photo = stills[0][1]
    corners = np.array([(0.5, 0.5), (photo.width - 0.5, 0.5), (0.5, photo.height - 0.5)])
    x, y = ((corners - photo.K[:2, 2]) / FOCAL).T
    seen = corners - photo.K[:2, 2] + k1 * ((x * x + y * y)[:, None] * (corners - photo.K[:2, 2])) + CENTRE
    assert (seen > -1).all() and (seen < (W + 1, H + 1)).all()             # all of it was in the lens's picture,
    assert photo.width == W if k1 <= 0 else W * 0.85 < photo.width < W     # of which no more is lost than need be
    assert (stills[0][1].source.parent.name == "clip") == (k1 == 0)        # undistorted files need not be written


def test_a_clip_that_is_not_solved(milo, solved_clip):
    camera, clip = solved_clip(0.0)
    camera.data.background_images[0].clip = unsolved = bpy.data.movieclips.load(clip.filepath.replace("001", "002"))
    with pytest.raises(RuntimeError, match="is not solved: solve it in the Movie Clip Editor"):
        bpy.ops.milo.take_frames()
    assert unsolved != clip and camera.milo.taken is None
    camera.data.background_images[0].use_flip_x = True
    with pytest.raises(RuntimeError, match="reset its offset"):
        bpy.ops.milo.take_frames()


def test_no_scene_is_left_when_frames_cannot_be_written(milo, sequence, tmp_path, monkeypatch):
    writer = milo("scene.frame_writer")

    def fail(_):
        raise OSError
    monkeypatch.setattr(writer.FrameWriter, "_set_output", fail)
    with pytest.raises(OSError):
        writer.FrameWriter(None, tmp_path)
    assert len(bpy.data.scenes) == 1
