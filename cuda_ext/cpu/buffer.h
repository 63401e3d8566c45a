// SPDX-License-Identifier: Apache-2.0
// An array whose contents start undefined: std::vector would write every element once for nothing.
#pragma once
#include <cstdint>
#include <memory>

namespace milo {

template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(int64_t size) : data_(new T[size]), size_(size) {}
    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    int64_t size() const { return size_; }
    T& operator[](int64_t i) { return data_[i]; }
    const T& operator[](int64_t i) const { return data_[i]; }

private:
    std::unique_ptr<T[]> data_;
    int64_t size_ = 0;
};

}  // namespace milo
