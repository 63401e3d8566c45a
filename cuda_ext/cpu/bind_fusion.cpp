// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"

void bind_fusion(nb::module_&) {}
