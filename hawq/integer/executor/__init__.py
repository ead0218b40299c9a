"""Inside the golden executor: steps in number types that bounds prove exact."""
