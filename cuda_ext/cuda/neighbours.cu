// SPDX-License-Identifier: Apache-2.0
// Exact nearest neighbours: points along a space-filling curve, in boxes of kBox.  A thread takes a query; a warp's
// queries are close, so they look into the same boxes.  spec: rasterization.md 6.1
#include "common.cuh"

using namespace milo;

namespace {

constexpr int kBox = 128;

struct Box {
    float low[3], high[3];
};

// Squared distance to a box, never more than the float distance to any point in it.
__device__ __forceinline__ float box_distance2(const Box& box, Vec3<float> q) {
    const float x = fmaxf(fmaxf(box.low[0] - q.x, q.x - box.high[0]), 0.f);
    const float y = fmaxf(fmaxf(box.low[1] - q.y, q.y - box.high[1]), 0.f);
    const float z = fmaxf(fmaxf(box.low[2] - q.z, q.z - box.high[2]), 0.f);
    return 0.999999f * (x * x + y * y + z * z);   // the slack covers the rounding of both sums
}

// Calls visit(dist2, place) for the points of boxes that `wanted` names for any query of the warp; first those around
// `home`, so that the others can be passed over.  All lanes of the warp take part.
template <class Wanted, class Visit>
__device__ void search(const float4* points, int count, const Box* boxes, Vec3<float> query, int home, const Wanted& wanted,
                       const Visit& visit) {
    const int num_boxes = (count + kBox - 1) / kBox;
    const int first = __shfl_sync(kWholeWarp, home, 0);
    for (int k = 0; k < num_boxes; ++k) {
        // home, then 0, 1, 2, ... without home
        const int box = k == 0 ? first : k <= first ? k - 1 : k;
        if (!__any_sync(kWholeWarp, wanted(box_distance2(boxes[box], query)))) continue;
        const int end = min(count, (box + 1) * kBox);
        for (int place = box * kBox; place < end; ++place) {
            const float4 p = points[place];
            const float dx = p.x - query.x, dy = p.y - query.y, dz = p.z - query.z;
            visit(dx * dx + dy * dy + dz * dz, place);
        }
    }
}

}  // namespace

// Place on a space-filling curve, 10 bits an axis.  low, high: [3] bounds of all points.
KERNEL curve_codes(const float* points, int count, const float* low, const float* high, int* codes) {
    const long long i = thread_index();
    if (i >= count) return;
    unsigned code = 0;
    for (int axis = 0; axis < 3; ++axis) {
        const float extent = fmaxf(high[axis] - low[axis], 1e-30f);
        const float t = fminf(fmaxf((points[3 * i + axis] - low[axis]) / extent, 0.f), 1.f);
        const unsigned cell = static_cast<unsigned>(t * 1023.f);
        for (int bit = 0; bit < 10; ++bit) code |= (cell >> bit & 1u) << (3 * bit + axis);
    }
    codes[i] = static_cast<int>(code);
}

// sorted: [N] (x, y, z, index as bits) in the order of `order`; boxes: bounds of each kBox of them.  A block per box.
KERNEL make_boxes(const float* points, const long long* order, int count, float4* sorted, Box* boxes) {
    __shared__ Box warps[kBox / 32];
    const long long place = thread_index();
    const int index = static_cast<int>(order[place < count ? place : count - 1]);
    const Vec3<float> p = load3(points, index);
    if (place < count) sorted[place] = make_float4(p.x, p.y, p.z, __int_as_float(index));
    const float xyz[3] = {p.x, p.y, p.z};
    Box box;
    for (int axis = 0; axis < 3; ++axis) {
        float low = xyz[axis], high = xyz[axis];
        for (int step = 16; step > 0; step /= 2) {
            low = fminf(low, __shfl_xor_sync(kWholeWarp, low, step));
            high = fmaxf(high, __shfl_xor_sync(kWholeWarp, high, step));
        }
        box.low[axis] = low, box.high[axis] = high;
    }
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = box;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < kBox / 32; ++w)
        for (int axis = 0; axis < 3; ++axis) {
            box.low[axis] = fminf(box.low[axis], warps[w].low[axis]);
            box.high[axis] = fmaxf(box.high[axis], warps[w].high[axis]);
        }
    boxes[blockIdx.x] = box;
}

// out[i] = mean of the squared distances of point i to the three nearest others.
KERNEL mean_sq_distance(const float4* points, int count, const Box* boxes, float* out) {
    const int place = static_cast<int>(thread_index());
    const float4 own = points[min(place, count - 1)];
    float best[3];
    for (float& b : best) b = __int_as_float(0x7f800000);   // infinity
    search(
        points, count, boxes, {own.x, own.y, own.z}, min(place, count - 1) / kBox,
        [&](float bound) { return bound < best[2]; },
        [&](float dist2, int other) {
            if (other == place || !(dist2 < best[2])) return;
            best[2] = fmaxf(best[1], dist2);
            best[1] = fmaxf(best[0], fminf(best[1], dist2));
            best[0] = fminf(best[0], dist2);
        });
    if (place < count) out[__float_as_int(own.w)] = (best[0] + best[1] + best[2]) / 3;
}

// dist2, index: [M, k], rows of the queries' own order; sorted_queries as `sorted` above.
KERNEL nearest(const float4* points, int count, const Box* boxes, const float4* sorted_queries, const int* homes,
               int num_queries, int k, float* dist2, int* index) {
    const int place = static_cast<int>(thread_index());
    const bool real = place < num_queries;
    const float4 query = sorted_queries[min(place, num_queries - 1)];
    float* distances = dist2 + static_cast<long long>(__float_as_int(query.w)) * k;
    int* indices = index + static_cast<long long>(__float_as_int(query.w)) * k;
    float worst = __int_as_float(0x7f800000);
    int worst_index = 0x7fffffff;
    if (real)
        for (int j = 0; j < k; ++j) distances[j] = worst, indices[j] = worst_index;
    search(
        points, count, boxes, {query.x, query.y, query.z}, homes[min(place, num_queries - 1)],
        // "<=": at equal distance a lower index may still be inside.
        [&](float bound) { return real && bound <= worst; },
        [&](float found, int other) {
            if (!real || found > worst) return;
            const int id = __float_as_int(points[other].w);
            if (found == worst && id > worst_index) return;
            int j = k - 1;
            for (; j > 0 && (found < distances[j - 1] || (found == distances[j - 1] && id < indices[j - 1])); --j) {
                distances[j] = distances[j - 1];
                indices[j] = indices[j - 1];
            }
            distances[j] = found;
            indices[j] = id;
            worst = distances[k - 1];
            worst_index = indices[k - 1];
        });
}
