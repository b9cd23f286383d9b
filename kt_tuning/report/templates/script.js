// Boxes that are wider than the window say that they scroll.
const markOverflow = () => {
  for (const box of document.querySelectorAll(".scroll")) {
    box.classList.toggle("overflows", box.scrollWidth > box.clientWidth + 1);
  }
};
addEventListener("resize", markOverflow);
document.addEventListener("toggle", markOverflow, true);
markOverflow();

// A click on a header sorts by it; empty cells stay last. Without scripts the table is as written.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      headers.forEach(other => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = (one, other) => {
        const a = value(one), b = value(other);
        if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return up ? order : -order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
