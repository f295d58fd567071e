/**
 * Colours the atoms of an nglview pane; called as a method of the pane's view with each frame.
 * nglview moves the atoms itself but has no way to recolour them frame by frame.
 *
 * @this {{stage: {compList: Object[]}}}  the view; its first component is the relaxing structure
 * @param {number[]} distances            Å, one an atom: where it lies on the colour scale
 */
function colourAtoms(distances) {
  const component = this.stage.compList[0];
  const stored = component?.structure?.atomStore?.bfactor;
  if (stored?.length < distances.length) return; // another structure is still loading
  stored?.set(distances);
  component?.updateRepresentations({ color: true });
}
