//! Recording a rule's formula.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Sub};
use std::rc::Rc;

use crate::rule::{Number, Rule};

/// One value of a formula; operands are indices of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Weight,
    Gradient,
    State(usize),
    /// A number passed with every launch.
    Constant(usize),
    Add(usize, usize),
    Sub(usize, usize),
    Mul(usize, usize),
    Div(usize, usize),
    Sqrt(usize),
    Maximum(usize, usize),
    Sign(usize),
}

/// The operations on one element, without the constants: equal formulas share a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Formula {
    pub(crate) nodes: Vec<Node>,
    /// Index of the value that becomes the weight.
    pub(crate) weight: usize,
    /// Indices of the values that become the state.
    pub(crate) state: Vec<usize>,
}

/// The formula of one update of `R` with `N` state values, and its constants.
pub(crate) fn record<R: Rule, const N: usize>(update: &R::Update) -> (Formula, Vec<f64>) {
    let tape = Rc::new(RefCell::new(Tape::default()));
    let input = |node| Recorded::new(&tape, node);
    let (weight, gradient) = (input(Node::Weight), input(Node::Gradient));
    let state = std::array::from_fn(|slot| input(Node::State(slot)));
    let (weight, state) = R::element::<Recorded, N>(update, weight, gradient, state);
    let (weight, state) = (weight.at, state.iter().map(|value| value.at).collect());
    let Tape { nodes, constants } = tape.take();
    (Formula { nodes, weight, state }, constants)
}

#[derive(Debug, Default)]
struct Tape {
    nodes: Vec<Node>,
    constants: Vec<f64>,
}

/// A number that records the operations on it.
#[derive(Debug, Clone)]
struct Recorded {
    tape: Rc<RefCell<Tape>>,
    at: usize,
}

impl Recorded {
    fn new(tape: &Rc<RefCell<Tape>>, node: Node) -> Self {
        let mut inner = tape.borrow_mut();
        inner.nodes.push(node);
        Self { tape: tape.clone(), at: inner.nodes.len() - 1 }
    }

    fn constant(&self, value: f64) -> Self {
        let index = {
            let mut tape = self.tape.borrow_mut();
            tape.constants.push(value);
            tape.constants.len() - 1
        };
        Self::new(&self.tape, Node::Constant(index))
    }

    fn then(self, node: Node) -> Self {
        Self::new(&self.tape, node)
    }
}

impl Add for Recorded {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let node = Node::Add(self.at, other.at);
        self.then(node)
    }
}

impl Sub for Recorded {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        let node = Node::Sub(self.at, other.at);
        self.then(node)
    }
}

impl Mul for Recorded {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let node = Node::Mul(self.at, other.at);
        self.then(node)
    }
}

impl Div for Recorded {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let node = Node::Div(self.at, other.at);
        self.then(node)
    }
}

impl Number for Recorded {
    fn scale(self, factor: f64) -> Self {
        let factor = self.constant(factor);
        self * factor
    }
    fn offset(self, term: f64) -> Self {
        let term = self.constant(term);
        self + term
    }
    fn sqrt(self) -> Self {
        let node = Node::Sqrt(self.at);
        self.then(node)
    }
    fn maximum(self, other: Self) -> Self {
        let node = Node::Maximum(self.at, other.at);
        self.then(node)
    }
    fn signum(self) -> Self {
        let node = Node::Sign(self.at);
        self.then(node)
    }
}
