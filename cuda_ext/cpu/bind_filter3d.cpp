// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"

void bind_filter3d(nb::module_&) {}
