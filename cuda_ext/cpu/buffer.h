// SPDX-License-Identifier: Apache-2.0
// An array whose contents start undefined: std::vector would write every element once for nothing.  On cache lines.
#pragma once
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

namespace milo {

template <class T>
class Buffer {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    static constexpr std::align_val_t kLine{64};
    struct Free {
        void operator()(T* p) const { ::operator delete(p, kLine); }
    };

public:
    Buffer() = default;
    explicit Buffer(int64_t size)
        : data_(static_cast<T*>(::operator new(size * sizeof(T), kLine))), size_(size) {}
    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    int64_t size() const { return size_; }
    T& operator[](int64_t i) { return data_.get()[i]; }
    const T& operator[](int64_t i) const { return data_.get()[i]; }

private:
    std::unique_ptr<T, Free> data_;
    int64_t size_ = 0;
};

}  // namespace milo
