// SPDX-License-Identifier: Apache-2.0
// Triangulates on many threads what conflicts most, for ThreadSanitizer: test_delaunay.py (marked slow) builds and runs it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include "delaunay.h"

namespace milo {
int num_threads() { return 8; }
}  // namespace milo

using milo::Point3;

int main() {
    std::mt19937 generator(1);
    std::normal_distribution<double> normal;
    std::uniform_int_distribution<int> digit(0, 9);
    const auto random_point = [&] { return Point3{normal(generator), normal(generator), normal(generator)}; };
    std::vector<Point3> cloud(20000), grid, lattice(6000), two_lines, two_planes(4000);
    for (auto& p : cloud) p = random_point();
    for (int i = 0; i < 4096; ++i) grid.push_back({double(i / 256), double(i / 16 % 16), double(i % 16)});
    for (auto& p : lattice) p = {double(digit(generator)), double(digit(generator)), double(digit(generator))};
    for (int i = 0; i < 400; ++i) two_lines.insert(two_lines.end(), {{i / 200.0 - 1, 0, 0}, {0, i / 200.0 - 1, 1}});
    for (size_t i = 0; i < two_planes.size(); ++i) two_planes[i] = {normal(generator), normal(generator), i % 3 ? 0.25 : 1.0};

    int wrong = 0;
    for (const auto& points : {cloud, grid, lattice, two_lines, two_planes}) {
        const auto one = milo::delaunay(points, 1);
        for (const int threads : {2, 4, 8, 16}) {
            const auto many = milo::delaunay(points, threads);
            if (one.size() == many.size() && std::equal(one.data(), one.data() + one.size(), many.data())) continue;
            std::printf("%zu points on %d threads: another result\n", points.size(), threads);
            ++wrong;
        }
    }
    std::vector<Point3> large(100000);
    for (auto& p : large) p = random_point();
    std::atomic<uint8_t> stop{0};
    std::thread impatient([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        stop = 1;
    });
    milo::delaunay(large, 4, &stop);
    impatient.join();
    return wrong;
}
