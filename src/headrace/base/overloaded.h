// One visitor of a variant made of several lambdas.
#pragma once

namespace headrace {

/// `std::visit(Overloaded{[](A&) {…}, [](B&) {…}}, variant)`: each alternative calls the lambda
/// that takes it.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace headrace
