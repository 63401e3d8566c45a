# SPDX-License-Identifier: Apache-2.0
"""docs/options.md and the configuration say the same."""

import dataclasses
import re
import tomllib
import typing
from pathlib import Path

import pytest

from milo.backend.config import Config, load_config, preset_names

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)\.(\w+)` \| `([^`]*)` \| (.+?) \| (.*?)\|$", PAGE, re.MULTILINE)

# Spec training.md, section 7.1, and the keys of the mesh configurations, 5.12.
REFERENCE = """
--source_path --model_path --images --resolution --white_background --data_device --eval --sh_degree --llff
--kernel_size --convert_SHs_python --compute_cov3D_python --debug --iterations --position_lr_init --position_lr_final
--position_lr_delay_mult --position_lr_max_steps --feature_lr --opacity_lr --scaling_lr --rotation_lr
--appearance_embeddings_lr --appearance_network_lr --percent_dense --lambda_dssim --densification_interval
--densify_from_iter --densify_until_iter --densify_grad_threshold --opacity_reset_interval --random_background
--ip --port --debug_from --detect_anomaly --test_iterations --save_iterations --checkpoint_iterations --start_checkpoint
--quiet
--rasterizer --imp_metric --dense_gaussians --no_mesh_regularization --mesh_config --detach_gaussian_rendering
--regularization_from_iter --lambda_depth_normal --depth_order --depth_order_config --disable_mip_filter
--update_mip_filter_every --decoupled_appearance --config_path --aggressive_clone_from_iter --aggressive_clone_interval
--warn_until_iter --depth_reinit_iter --num_depth_factor --simp_iteration1 --simp_iteration2 --sampling_factor
--log_interval --wandb_project --wandb_entity
start_iter stop_iter n_max_points_in_delaunay delaunay_sampling_method use_scalable_renderer depth_weight normal_weight
occupied_centers_weight occupancy_labels_loss_weight learnable_sdf_reset_stop_iter mesh_update_interval use_depth_loss
use_normal_loss use_depth_normal depth_ratio mesh_depth_loss_type delaunay_reset_interval filter_large_edges
collapse_large_edges sdf_reset_interval sdf_default_isosurface transform_sdf_to_linear_space min_occupancy_value use_ema
alpha_ema trunc_margin occupancy_mode enforce_occupied_centers use_occupancy_labels_loss reset_occupancy_labels_every
fix_set_of_learnable_sdfs learnable_sdf_reset_mode learnable_sdf_reset_alpha_ema method_to_reset_sdf
n_binary_steps_to_reset_sdf sdf_reset_linearization_n_steps sdf_reset_linearization_enforce_std
depth_fusion_reset_tolerance radius_culling
"""


def fields():
    for section, kind in typing.get_type_hints(Config).items():
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            yield f"{section}.{field.name}", getattr(getattr(Config(), section), field.name), hints[field.name]


def test_every_option_has_one_row_and_no_row_is_of_another():
    documented = [f"{section}.{name}" for section, name, _, _, _ in ROWS]
    assert sorted(documented) == sorted(name for name, _, _ in fields())


@pytest.mark.parametrize(("section", "name", "default", "meaning"), [row[:4] for row in ROWS])
def test_every_default_is_the_configurations(section, name, default, meaning):
    stated = tomllib.loads(f"value = {default}")["value"]
    value = getattr(getattr(Config(), section), name)
    assert (tuple(stated) if isinstance(value, tuple) else stated) == value
    assert type(stated) is (list if isinstance(value, tuple) else type(value))
    assert meaning.strip()


@pytest.mark.parametrize(("name", "hint"), [(name, hint) for name, _, hint in fields()
                                           if typing.get_origin(hint) is typing.Literal])
def test_every_choice_is_explained(name, hint):
    meaning = next(row[3] for row in ROWS if f"{row[0]}.{row[1]}" == name)
    assert [choice for choice in typing.get_args(hint) if f"`{choice}`" not in meaning] == []


def test_every_option_of_the_reference_is_found():
    assert [name for name in REFERENCE.split() if f"`{name}" not in PAGE] == []


def test_every_preset_is_found():
    assert [name for name in preset_names() if f"`{name}`" not in PAGE.split("## data")[0]] == []


def test_what_parity_takes_back_is_in_the_list_of_departures():
    table = PAGE.split("## Where `default` departs")[1]
    default, parity = Config().to_dict(), load_config(["parity"]).to_dict()
    changed = [f"{section}.{name}" for section in default if section != "format" for name in default[section]
               if default[section][name] != parity[section][name]]
    assert changed and [name for name in changed if f"`{name}`" not in table] == []
