// places
// Which elements a workgroup of an optimizer takes: the next of one tensor, or PACKED a place in a tensor that many small
// parameters share. A place lies within one parameter.
struct Params {
  elements: u32,  // of the tensor
  share: u32,     // elements of a workgroup
  places: u32,
  stride: u32,    // words from one parameter's count of steps to the next
}

struct Place {
  first: u32,     // elements first … end − 1
  end: u32,
  slot: u32,      // the number of the parameter in its group
}

var<uniform> params: Params;
var<storage, read> places: array<Place>;

override PACKED: bool = false;

// A surplus workgroup gets none.
fn place_of(number: u32) -> Place {
  if (PACKED) {
    if (number >= params.places) { return Place(); }
    return places[number];
  } else {
    let first = number * params.share;
    return Place(first, min(params.elements, first + params.share), 0u);
  }
}

// Where the count of steps of a parameter is.
fn count_of(slot: u32) -> u32 {
  if (PACKED) {
    return slot * params.stride;
  } else {
    return 0u;
  }
}
