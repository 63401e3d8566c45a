// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"

void bind_splats(nb::module_&) {}
